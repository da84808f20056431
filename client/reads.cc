#include "client/reads.h"

#include <algorithm>

#include "client/checks.h"

namespace canopy::client {

namespace native = wire::native;

namespace {

std::size_t bytes_of(const Answer::Entry& entry) {
  return sizeof entry + entry.key.size() + entry.value.size() + entry.properties.size();
}

}  // namespace

Reads::Reads(Events& events, std::uint64_t seed)
    : events_(events), random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void Reads::add(CallId id, Request request, base::TimePoint deadline, ListFilter filter) {
  Call& call = calls_[id];
  call.request = std::move(request);
  call.filter = std::move(filter);
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
  sort_and_cut(call);
  end(found, {.entries = std::move(call.entries)});
}

// False when the call would hold too much.
bool Reads::add_entry(Call& call, const native::Entry& entry) {
  const ListFilter& filter = call.filter;
  if (entry.deleted || (!filter.start_after.empty() && entry.key <= filter.start_after))
    return true;
  Answer::Entry& kept = call.entries.emplace_back();
  kept.key = entry.key;
  kept.revision = entry.revision;
  kept.expires_at_ms = entry.expires_at_ms;
  if (!filter.keys_only) {
    kept.value = entry.value;
    kept.properties = entry.properties;
  }
  call.bytes += bytes_of(kept);
  // Not for each entry: a proxy sends those of one partition in order, but partitions in any.
  if (filter.limit > 0 && call.entries.size() / 2 > filter.limit) sort_and_cut(call);
  return call.bytes <= max_answer_bytes;
}

void Reads::sort_and_cut(Call& call) {
  std::ranges::sort(call.entries, {}, &Answer::Entry::key);
  const std::size_t limit = call.filter.limit;
  if (limit == 0 || call.entries.size() <= limit) return;
  call.entries.resize(limit);
  call.bytes = 0;
  for (const Answer::Entry& entry : call.entries) call.bytes += bytes_of(entry);
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

void Reads::cancel(CallId id) {
  const auto call = calls_.find(id);
  if (call != calls_.end()) end(call, cancellation());
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
