// The reads of one client that are not answered yet. Pure; not thread-safe.
// docs/reference/protocol.md specifies get and list.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/wire/native.h"

namespace canopy::client {

// What the caller of a list keeps of the entries that a proxy sends.
struct ListFilter {
  std::size_t limit = 0;      // the first ones in the order of the keys; 0: all
  std::string start_after{};  // keys above this one; empty: all
  bool keys_only = false;     // without values and properties
};

class Reads {
 public:
  using Request = std::variant<wire::native::Get, wire::native::List>;

  static constexpr std::size_t max_unanswered = 32;  // further ones wait
  static constexpr std::size_t max_answer_bytes = std::size_t{1} << 30;
  static constexpr base::Duration least_back_off = std::chrono::milliseconds(50);  // up to twice

  Reads(Events& events, std::uint64_t seed);

  void add(CallId call, Request request, base::TimePoint deadline, ListFilter filter = {});
  // Requests to be sent now, numbered from `next_request` on, which is moved along.
  std::vector<std::string> due(std::uint64_t& next_request, base::TimePoint now);
  // The client has another proxy: open requests are sent again, and their replies begin anew.
  void resend(base::TimePoint now);

  // Answers to a request that is not open are ignored.
  void on_entry(const wire::native::Got& got);
  void on_chunk(const wire::native::Chunk& chunk);
  void on_refusal(const wire::native::Refusal& refusal, base::TimePoint now);
  void expire(base::TimePoint now);
  void cancel(CallId call);
  void close();

  std::size_t size() const { return calls_.size(); }
  std::size_t unanswered() const { return open_.size(); }

 private:
  struct Call {
    Request request{};  // number 0: not open
    ListFilter filter{};
    base::TimePoint deadline{};
    base::TimePoint due{};  // not open: to be sent
    std::vector<Answer::Entry> entries{};
    std::size_t bytes = 0;
    std::string refusal{};
  };
  using Calls = std::map<CallId, Call>;

  static std::uint64_t& number_of(Call& call);
  Calls::iterator find(std::uint64_t request);
  void again(Call& call, base::TimePoint at);
  static bool add_entry(Call& call, const wire::native::Entry& entry);
  static void sort_and_cut(Call& call);
  void end(Calls::iterator call, Answer answer);

  Events& events_;
  std::minstd_rand random_;
  Calls calls_;
  std::map<std::uint64_t, CallId> open_;  // by request
};

}  // namespace canopy::client
