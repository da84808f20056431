// The writes of one client that are not answered yet. Pure; not thread-safe.
// docs/reference/protocol.md, "Writing", specifies numbers and repeats.
//
// A request keeps its number from its first sending until it ends: the shard applies it once,
// however often and through however many proxies the client sends it. A request waits while an
// earlier one to the same key is open: writes to a key are applied in the order they were made.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/events.h"
#include "core/base/clock.h"
#include "core/wire/native.h"

namespace canopy::client {

class Writes {
 public:
  // Numbers from the lowest unanswered one to the highest in use: what a shard keeps for a client.
  static constexpr std::size_t max_unanswered = 1024;
  static constexpr base::Duration least_patience = std::chrono::seconds(1);  // then sent again
  static constexpr base::Duration most_patience = std::chrono::seconds(4);
  static constexpr base::Duration least_back_off =
      std::chrono::milliseconds(50);  // of a refused one
  static constexpr base::Duration most_back_off = std::chrono::seconds(1);

  Writes(std::string client, Events& events, std::uint64_t seed);

  void add(CallId call, std::vector<wire::Write> writes, base::TimePoint deadline);
  // Requests to be sent now, in order; they then wait for an answer.
  std::vector<std::string> due(base::TimePoint now);
  // The client has another proxy: requests that wait for an answer are sent again at once.
  void resend(base::TimePoint now);

  void on_written(const wire::native::Written& written);
  void on_refusal(const wire::native::Refusal& refusal, base::TimePoint now);
  void expire(base::TimePoint now);
  void postpone(base::Duration sleep);
  void cancel(CallId call);
  void close();

  std::size_t size() const { return calls_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::size_t unanswered() const { return sent_.size(); }
  // Requests sent so far, repeats included.
  std::uint64_t sendings() const { return sendings_; }

 private:
  using Sequence = std::uint64_t;  // of calls, in the order they were made
  struct Call {
    CallId id = 0;
    wire::WriteRequest request{};  // number 0: never sent
    base::TimePoint deadline{};
    std::size_t bytes = 0;
    std::size_t blocked = 0;  // keys of it that an earlier call holds
    base::TimePoint due{};    // to be sent again
    int sendings = 0;
    int refusals = 0;
    std::string refusal{};  // the last one
  };
  using Calls = std::unordered_map<Sequence, Call>;

  std::string encode(Call& call, base::TimePoint now);
  Calls::iterator find(std::uint64_t number);
  void end(Calls::iterator call, Answer answer);
  void release(Sequence sequence, const Call& call);
  base::Duration jittered(base::Duration least, base::Duration limit, int doublings);

  const std::string client_;
  Events& events_;
  std::minstd_rand random_;
  Sequence next_sequence_ = 1;
  std::uint64_t next_number_ = 1;
  Calls calls_;
  std::size_t bytes_ = 0;
  std::uint64_t sendings_ = 0;
  std::unordered_map<std::string, std::deque<Sequence>>
      keys_;                                           // calls that write it; the first may be sent
  std::set<Sequence> ready_;                           // never sent, and may be
  std::map<std::uint64_t, Sequence> sent_;             // by number
  base::TimePoint next_due_ = base::TimePoint::max();  // none of them is due before
  std::set<std::pair<base::TimePoint, Sequence>> deadlines_;
};

}  // namespace canopy::client
