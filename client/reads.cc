#include "client/reads.h"

#include <algorithm>

namespace canopy::client {
namespace {

namespace native = wire::native;

}  // namespace

Reads::Reads(Events& events, std::uint64_t seed)
    : events_(events), random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void Reads::add(CallId id, std::string subtree, Extent extent, base::TimePoint deadline) {
  Call& call = calls_[id];
  call.extent = extent;
  call.subtree = std::move(subtree);
  call.deadline = deadline;
}

std::vector<native::Fetch> Reads::due(std::uint64_t& next_request, base::TimePoint now) {
  std::vector<native::Fetch> fetches;
  for (auto& [id, call] : calls_) {
    if (open_.size() >= max_unanswered) break;
    if (call.request != 0 || now < call.due) continue;
    call.request = next_request++;
    call.due = now + chunk_silence;
    open_.emplace(call.request, id);
    fetches.push_back({.request = call.request,
                       .topic = {},
                       .subtree = call.subtree,
                       .known = {},
                       .gap = {},
                       .credit = call.extent == Extent::all ? credit : 1});
  }
  return fetches;
}

void Reads::resend(base::TimePoint now) {
  for (auto& [id, call] : calls_) again(call, now);
}

void Reads::again(Call& call, base::TimePoint at) {
  open_.erase(call.request);
  call.request = 0;
  call.next_chunk = 0;
  call.entries.clear();
  call.bytes = 0;
  call.due = at;
}

Reads::Calls::iterator Reads::find(std::uint64_t request) {
  const auto found = open_.find(request);
  return found == open_.end() ? calls_.end() : calls_.find(found->second);
}

bool Reads::on_chunk(const native::Chunk& chunk, base::TimePoint now) {
  const native::ChunkHeader& header = chunk.header;
  const auto found = find(header.request);
  if (found == calls_.end()) return false;
  Call& call = found->second;
  if (header.number != call.next_chunk) {
    again(call, now);
    return false;
  }
  ++call.next_chunk;
  call.due = now + chunk_silence;
  if (!add_entries(call, chunk.entries)) {
    end(found, {.number = static_cast<unsigned>(wire::Fault::too_large),
                .text = "the answer is beyond what one call may hold"});
    return false;
  }
  if (header.more != native::ChunkHeader::More::last && !is_enough(call, header)) return true;
  std::sort(call.entries.begin(), call.entries.end(),
            [](const auto& left, const auto& right) { return left.key < right.key; });
  end(found, {.entries = std::move(call.entries)});
  return false;
}

bool Reads::is_enough(const Call& call, const native::ChunkHeader& header) {
  switch (call.extent) {
    case Extent::all: return false;
    // Of partitions that overlap `subtree`, only the owner of this key is a prefix of it.
    case Extent::key: return call.subtree.starts_with(header.partition);
    case Extent::some: return !call.entries.empty();
  }
  return false;
}

bool Reads::add_entries(Call& call, const std::vector<native::Entry>& entries) {
  for (const native::Entry& entry : entries) {
    if (entry.deleted || !native::covers(call.subtree, entry.key)) continue;
    if (call.extent == Extent::key && entry.key != call.subtree) continue;
    call.bytes +=
        sizeof(Answer::Entry) + entry.key.size() + entry.value.size() + entry.properties.size();
    if (call.bytes > max_answer_bytes) return false;
    call.entries.push_back({.key = std::string(entry.key),
                            .value = std::string(entry.value),
                            .properties = std::string(entry.properties),
                            .revision = entry.revision,
                            .expires_at_ms = entry.expires_at_ms});
  }
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
    if (call->second.deadline <= now) {
      const std::string why = call->second.refusal;
      end(call, {.number = timed_out,
                 .text = why.empty() ? "no answer in time" : "no success in time: " + why});
    } else if (call->second.request != 0 && call->second.due <= now) {
      again(call->second, now);
    }
  }
}

void Reads::forgive(base::Duration sleep) {
  for (auto& [id, call] : calls_) call.due += sleep;
}

void Reads::close() {
  while (!calls_.empty()) end(calls_.begin(), {.number = closed, .text = "the client was closed"});
}

void Reads::end(Calls::iterator at, Answer answer) {
  open_.erase(at->second.request);
  const CallId id = at->first;
  calls_.erase(at);
  events_.answered(id, std::move(answer));
}

}  // namespace canopy::client
