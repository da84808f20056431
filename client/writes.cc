#include "client/writes.h"

#include <algorithm>

#include "client/checks.h"

namespace canopy::client {
namespace {

std::set<std::string_view> keys_of(const wire::WriteRequest& request) {
  std::set<std::string_view> keys;
  for (const wire::Write& write : request.writes) keys.insert(write.key);
  return keys;
}

}  // namespace

Writes::Writes(std::string client, Events& events, std::uint64_t seed)
    : client_(std::move(client)),
      events_(events),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void Writes::add(CallId id, std::vector<wire::Write> writes, base::TimePoint deadline) {
  const Sequence sequence = next_sequence_++;
  Call& call = calls_[sequence];
  call.id = id;
  call.request.client = client_;
  call.request.writes = std::move(writes);
  call.deadline = deadline;
  call.bytes = call.request.bytes();
  bytes_ += call.bytes;
  for (const std::string_view key : keys_of(call.request)) {
    auto& waiting = keys_[std::string(key)];
    if (!waiting.empty()) ++call.blocked;
    waiting.push_back(sequence);
  }
  if (call.blocked == 0) ready_.insert(sequence);
  deadlines_.emplace(deadline, sequence);
}

base::Duration Writes::jittered(base::Duration least, base::Duration limit, int doublings) {
  const base::Duration full = std::min(limit, least * (1 << std::min(doublings, 10)));
  const base::Duration half = full / 2;
  return half + base::Duration(random_() % static_cast<std::uint64_t>(half.count() + 1));
}

std::string Writes::encode(Call& call, base::TimePoint now) {
  ++sendings_;
  const int doublings = std::min(call.sendings++, 10);
  call.due = now + std::min(most_patience, least_patience * (1 << doublings));
  call.request.settled = sent_.begin()->first;
  return wire::native::encode(call.request);
}

std::vector<std::string> Writes::due(base::TimePoint now) {
  std::vector<std::string> frames;
  if (next_due_ <= now) {
    next_due_ = base::TimePoint::max();
    for (const auto& [number, sequence] : sent_) {
      Call& call = calls_.find(sequence)->second;
      if (call.due <= now) frames.push_back(encode(call, now));
      next_due_ = std::min(next_due_, call.due);
    }
  }
  while (!ready_.empty()) {
    if (!sent_.empty() && next_number_ - sent_.begin()->first >= max_unanswered) break;
    const Sequence sequence = ready_.extract(ready_.begin()).value();
    Call& call = calls_.find(sequence)->second;
    call.request.number = next_number_++;
    sent_.emplace(call.request.number, sequence);
    frames.push_back(encode(call, now));
    next_due_ = std::min(next_due_, call.due);
  }
  return frames;
}

void Writes::resend(base::TimePoint now) {
  for (const auto& [number, sequence] : sent_) {
    Call& call = calls_.find(sequence)->second;
    call.due = now;
    call.sendings = 0;
  }
  next_due_ = now;
}

Writes::Calls::iterator Writes::find(std::uint64_t number) {
  const auto found = sent_.find(number);
  return found == sent_.end() ? calls_.end() : calls_.find(found->second);
}

void Writes::on_written(const wire::native::Written& written) {
  const auto call = find(written.number);
  if (call == calls_.end()) return;
  end(call, {.revision = written.revision});
}

void Writes::on_refusal(const wire::native::Refusal& refusal, base::TimePoint now) {
  const auto found = find(refusal.request);
  if (found == calls_.end()) return;
  Call& call = found->second;
  if (wire::retriable(refusal.fault)) {
    call.due = now + jittered(least_back_off, most_back_off, call.refusals++);
    next_due_ = std::min(next_due_, call.due);
    call.refusal = refusal.text.empty() ? std::string(wire::name(refusal.fault)) : refusal.text;
  } else {
    end(found, {.number = static_cast<unsigned>(refusal.fault),
                .text = refusal.text,
                .revision = refusal.revision});
  }
}

void Writes::expire(base::TimePoint now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto call = calls_.find(deadlines_.begin()->second);
    end(call, expired(call->second.refusal));
  }
}

void Writes::postpone(base::Duration sleep) {
  for (const auto& [number, sequence] : sent_) calls_.find(sequence)->second.due += sleep;
}

// In linear time: users give up few calls.
void Writes::cancel(CallId id) {
  const auto call =
      std::ranges::find_if(calls_, [&](const auto& each) { return each.second.id == id; });
  if (call != calls_.end()) end(call, cancellation());
}

void Writes::close() {
  while (!calls_.empty()) end(calls_.begin(), {.number = closed, .text = "the client was closed"});
}

void Writes::end(Calls::iterator at, Answer answer) {
  const Sequence sequence = at->first;
  const Call call = std::move(at->second);
  calls_.erase(at);
  bytes_ -= call.bytes;
  deadlines_.erase({call.deadline, sequence});
  ready_.erase(sequence);
  if (call.request.number != 0) sent_.erase(call.request.number);
  release(sequence, call);
  events_.answered(call.id, std::move(answer));
}

// The next call of each of its keys may be sent, unless it waits for another key.
void Writes::release(Sequence sequence, const Call& call) {
  for (const std::string_view key : keys_of(call.request)) {
    const auto found = keys_.find(std::string(key));
    auto& waiting = found->second;
    const bool held = waiting.front() == sequence;
    std::erase(waiting, sequence);
    if (waiting.empty()) {
      keys_.erase(found);
    } else if (held) {
      const Sequence next = waiting.front();
      if (--calls_.find(next)->second.blocked == 0) ready_.insert(next);
    }
  }
}

}  // namespace canopy::client
