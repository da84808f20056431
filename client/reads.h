// The reads of one client that are not answered yet: fetches without a stream. Pure; not
// thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/wire/native.h"

namespace canopy::client {

class Reads {
 public:
  static constexpr std::size_t max_unanswered = 32;  // further ones wait
  static constexpr std::size_t max_answer_bytes = std::size_t{1} << 30;
  static constexpr std::uint32_t credit = 4;
  static constexpr base::Duration chunk_silence = std::chrono::seconds(5);
  static constexpr base::Duration least_back_off = std::chrono::milliseconds(50);  // up to twice

  Reads(Events& events, std::uint64_t seed);

  void add(CallId call, std::string subtree, base::TimePoint deadline);
  // Fetches to be sent now, numbered from `next_request` on, which is moved along.
  std::vector<wire::native::Fetch> due(std::uint64_t& next_request, base::TimePoint now);
  // There is another proxy: what was asked is to be asked again, and from the beginning.
  void resend(base::TimePoint now);

  // The chunk or refusal of a fetch that is not open is ignored. True when a credit is to be
  // granted.
  bool on_chunk(const wire::native::Chunk& chunk, base::TimePoint now);
  void on_refusal(const wire::native::Refusal& refusal, base::TimePoint now);
  void expire(base::TimePoint now);
  void forgive(base::Duration sleep);
  void close();

  std::size_t size() const { return calls_.size(); }

 private:
  struct Call {
    std::string subtree{};
    base::TimePoint deadline{};
    base::TimePoint due{};      // to be sent (again)
    std::uint64_t request = 0;  // 0: none is open
    std::uint32_t next_chunk = 0;
    std::vector<Answer::Entry> entries{};
    std::size_t bytes = 0;
    std::string refusal{};
  };
  using Calls = std::map<CallId, Call>;

  Calls::iterator find(std::uint64_t request);
  void again(Call& call, base::TimePoint at);
  bool add_entries(Call& call, const std::vector<wire::native::Entry>& entries);
  void end(Calls::iterator call, Answer answer);

  Events& events_;
  std::minstd_rand random_;
  Calls calls_;
  std::map<std::uint64_t, CallId> open_;  // by request
};

}  // namespace canopy::client
