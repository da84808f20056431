#include "core/wire/link.h"
#include "core/wire/link_pack.h"

namespace canopy::wire {
namespace {

void pack_request(Packer& packer, const RoutedRequest& routed) {
  const WriteRequest& request = routed.request;
  packer.array(5);
  packer.bytes(routed.reply_to);
  packer.bytes(request.client);
  packer.number(request.number);
  packer.number(request.settled);
  packer.array(request.writes.size());
  for (const Write& write : request.writes) {
    packer.array(7);
    packer.text(write.key);
    packer.value(write.deletes, write.value);
    packer.signed_number(write.ttl_ms);
    packer.bytes(write.properties);
    packer.bytes(write.uuid);
    packer.boolean(write.once);
    packer.revision_or_nil(write.if_revision);
  }
}

}  // namespace

std::string encode(const Writes& writes) {
  std::size_t hint = 16;
  for (const RoutedRequest& routed : writes.requests) {
    hint +=
        routed.reply_to.size() + routed.request.bytes() + 32 * (routed.request.writes.size() + 1);
  }
  return message(Kind::writes, 1, hint, [&](Packer& packer) {
    packer.array(writes.requests.size());
    for (const RoutedRequest& routed : writes.requests) pack_request(packer, routed);
  });
}

std::string encode(const Sync& sync) {
  return message(Kind::sync, 4, 64, [&](Packer& packer) {
    packer.number(sync.request);
    packer.text(sync.partition);
    packer.revision(sync.since);
    packer.number(sync.lineage);
  });
}

std::string encode(const Credit& credit) {
  return message(Kind::credit, 2, 16, [&](Packer& packer) {
    packer.number(credit.request);
    packer.number(credit.chunks);
  });
}

std::string encode(const Chunk& chunk) {
  const std::size_t hint = 64 + chunk.partition.size() + size_of(chunk.updates);
  std::string frame = message(Kind::chunk, 9, hint, [&](Packer& packer) {
    packer.number(chunk.request);
    packer.number(chunk.number);
    packer.text(chunk.partition);
    packer.number(chunk.lineage);
    packer.number(static_cast<unsigned>(chunk.kind));
    packer.revision(chunk.revision);
    packer.revision(chunk.floor);
    packer.boolean(chunk.last);
    packer.number(chunk.updates.size());
  });
  append_entries(frame, chunk.updates);
  return frame;
}

std::string encode(const Refused& refused) {
  return message(Kind::refused, 3, 64, [&](Packer& packer) {
    packer.number(refused.request);
    packer.text(refused.partition);
    packer.text(refused.why);
  });
}

std::string encode(const Answers& answers) {
  return message(Kind::answers, 1, 16 + 64 * answers.answers.size(), [&](Packer& packer) {
    packer.array(answers.answers.size());
    for (const Answer& answer : answers.answers) {
      packer.array(5);
      packer.bytes(answer.reply_to);
      packer.number(answer.number);
      packer.number(static_cast<unsigned>(answer.fault));
      packer.text(answer.text);
      packer.revision(answer.revision);
    }
  });
}

std::string encode(const Batch& batch) {
  const auto fill = [&](Packer& packer) {
    packer.number(batch.lineage);
    packer.revision(batch.after);
    packer.signed_number(batch.committed.time_since_epoch().count());
    packer.number(batch.updates.size());
  };
  std::string frame =
      message(Kind::batch, 4, 48 + size_of(batch.updates), fill, batch_topic(batch.partition));
  append_entries(frame, batch.updates);
  return frame;
}

std::string batch_topic(std::string_view partition) {
  std::string topic(partition);
  topic += '\0';
  return topic;
}

}  // namespace canopy::wire
