// The reads of one client that are not answered yet: fetches without a stream. Pure; not
// thread-safe.
//
// A key may end with '/', and a fetch of it is one of the subtree of that name. The proxy begins
// with the partition that owns the key, whose first entry is that of the key if it has one: a read
// of the key alone grants no credit beyond that chunk, and the proxy gives the fetch up.
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

// How much of a subtree is read.
enum class Extent : std::uint8_t {
  all,
  key,   // the entry of the key of that name
  some,  // the entries of the first chunk that holds any
};

class Reads {
 public:
  static constexpr std::size_t max_unanswered = 32;  // further ones wait
  static constexpr std::size_t max_answer_bytes = std::size_t{1} << 30;
  static constexpr std::uint32_t credit = 4;  // of a read of everything; else 1
  static constexpr base::Duration chunk_silence = std::chrono::seconds(5);
  static constexpr base::Duration least_back_off = std::chrono::milliseconds(50);  // up to twice

  Reads(Events& events, std::uint64_t seed);

  void add(CallId call, std::string subtree, Extent extent, base::TimePoint deadline);
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
    Extent extent = Extent::all;
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
  static bool is_enough(const Call& call, const wire::native::ChunkHeader& header);
  void end(Calls::iterator call, Answer answer);

  Events& events_;
  std::minstd_rand random_;
  Calls calls_;
  std::map<std::uint64_t, CallId> open_;  // by request
};

}  // namespace canopy::client
