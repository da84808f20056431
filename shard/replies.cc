#include "shard/replies.h"

#include <utility>

#include "core/base/limits.h"

namespace canopy::shard {

using wire::Fault;

namespace {

// Error texts for users.
std::string_view explain(Fault fault) {
  switch (fault) {
    case Fault::none: return "";
    case Fault::malformed: return "a request without writes";
    case Fault::bad_field: return "a number out of its bounds";
    case Fault::several_partitions: return "the keys belong to several partitions";
    case Fault::no_partition: return "the shard has no partition for the key";
    case Fault::revision_mismatch: return "the entry has another revision";
    case Fault::not_kept: return "the partition keeps no entries to compare with";
    case Fault::replayed: return "the request was declared settled";
    case Fault::full: return "the partition is full: deletions make room";
    case Fault::partition_unavailable: return "the partition is not served now";
    case Fault::too_many_requests: return "too many requests of the client are unsettled";
    default: return wire::name(fault);
  }
}

}  // namespace

Reply Reply::to(ProxyId proxy, wire::RoutedRequest& routed, Result result) {
  return {.proxy = proxy,
          .answer = {.reply_to = std::move(routed.reply_to),
                     .number = routed.request.number,
                     .fault = result.fault,
                     .text = std::string(explain(result.fault)),
                     .revision = result.revision}};
}

void Reply::refuse(Fault fault) {
  answer.fault = fault;
  answer.text = std::string(explain(fault));
  answer.revision = {};
}

void Replies::add(Reply reply) {
  if (reply.answer.reply_to.empty()) return;
  by_proxy_[reply.proxy].push_back(std::move(reply.answer));
}

std::vector<Replies::Message> Replies::take_messages() {
  constexpr std::size_t numbers_bytes = 32;  // of the numbers in one answer
  std::vector<Message> messages;
  for (auto& [proxy, answers] : std::exchange(by_proxy_, {})) {
    std::size_t bytes = base::max_chunk_bytes;  // starts the first message
    for (wire::Answer& answer : answers) {
      const std::size_t size = answer.reply_to.size() + answer.text.size() + numbers_bytes;
      bytes += size;
      if (bytes > base::max_chunk_bytes ||
          messages.back().answers.answers.size() == wire::max_message_updates) {
        messages.push_back({.proxy = proxy});
        bytes = size;
      }
      messages.back().answers.answers.push_back(std::move(answer));
    }
  }
  return messages;
}

}  // namespace canopy::shard
