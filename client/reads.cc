#include "client/reads.h"

#include <algorithm>

#include "client/checks.h"

namespace canopy::client {

namespace native = wire::native;

Reads::Reads(Events& events, std::uint64_t seed)
    : events_(events), random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void Reads::add(CallId id, Request request, base::TimePoint deadline) {
  Call& call = calls_[id];
  call.request = std::move(request);
  call.deadline = deadline;
}

std::uint64_t& Reads::number_of(Call& call) {
  return std::visit([](auto& each) -> std::uint64_t& { return each.request; }, call.request);
}

std::vector<std::string> Reads::due(std::uint64_t& next_request, base::TimePoint now) {
  std::vector<std::string> frames;
  if (open_.size() == calls_.size()) return frames;
  for (auto& [id, call] : calls_) {
    if (open_.size() >= max_unanswered) break;
    std::uint64_t& number = number_of(call);
    if (number != 0 || now < call.due) continue;
    number = next_request++;
    open_.emplace(number, id);
    frames.push_back(
        std::visit([](const auto& each) { return native::encode(each); }, call.request));
  }
  return frames;
}

void Reads::resend(base::TimePoint now) {
  for (auto& [id, call] : calls_) again(call, now);
}

void Reads::again(Call& call, base::TimePoint at) {
  std::uint64_t& number = number_of(call);
  open_.erase(number);
  number = 0;
  call.entries.clear();
  call.bytes = 0;
  call.due = at;
}

Reads::Calls::iterator Reads::find(std::uint64_t request) {
  const auto found = open_.find(request);
  return found == open_.end() ? calls_.end() : calls_.find(found->second);
}

void Reads::on_entry(const native::Got& got) {
  const auto found = find(got.request);
  if (found == calls_.end()) return;
  Call& call = found->second;
  if (got.entry) add_entry(call, *got.entry);
  end(found, {.entries = std::move(call.entries)});
}

void Reads::on_chunk(const native::Chunk& chunk) {
  const auto found = find(chunk.header.request);
  if (found == calls_.end()) return;
  Call& call = found->second;
  for (const native::Entry& entry : chunk.entries) {
    if (add_entry(call, entry)) continue;
    return end(found, {.number = static_cast<unsigned>(wire::Fault::too_large),
                       .text = "the answer is beyond what one call may hold"});
  }
  if (chunk.header.more != native::ChunkHeader::More::last) return;
  std::sort(call.entries.begin(), call.entries.end(),
            [](const auto& left, const auto& right) { return left.key < right.key; });
  end(found, {.entries = std::move(call.entries)});
}

// False when the call would hold too much.
bool Reads::add_entry(Call& call, const native::Entry& entry) {
  if (entry.deleted) return true;
  call.bytes +=
      sizeof(Answer::Entry) + entry.key.size() + entry.value.size() + entry.properties.size();
  if (call.bytes > max_answer_bytes) return false;
  call.entries.push_back({.key = std::string(entry.key),
                          .value = std::string(entry.value),
                          .properties = std::string(entry.properties),
                          .revision = entry.revision,
                          .expires_at_ms = entry.expires_at_ms});
  return true;
}

void Reads::on_refusal(const native::Refusal& refusal, base::TimePoint now) {
  const auto found = find(refusal.request);
  if (found == calls_.end()) return;
  if (!wire::retriable(refusal.fault)) {
    end(found, {.number = static_cast<unsigned>(refusal.fault), .text = refusal.text});
    return;
  }
  Call& call = found->second;
  call.refusal = refusal.text.empty() ? std::string(wire::name(refusal.fault)) : refusal.text;
  again(call, now + least_back_off +
                  base::Duration(random_() % static_cast<std::uint64_t>(least_back_off.count())));
}

void Reads::expire(base::TimePoint now) {
  for (auto at = calls_.begin(); at != calls_.end();) {
    const auto call = at++;
    if (call->second.deadline > now) continue;
    end(call, expired(call->second.refusal));
  }
}

void Reads::close() {
  while (!calls_.empty()) end(calls_.begin(), {.number = closed, .text = "the client was closed"});
}

void Reads::end(Calls::iterator at, Answer answer) {
  open_.erase(number_of(at->second));
  const CallId id = at->first;
  calls_.erase(at);
  events_.answered(id, std::move(answer));
}

}  // namespace canopy::client
