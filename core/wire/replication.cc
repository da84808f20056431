#include "core/wire/replication.h"

#include <algorithm>
#include <cassert>

#include "core/base/limits.h"
#include "core/wire/link_pack.h"
#include "core/wire/link_read.h"

namespace canopy::wire {
namespace {

using keyspace::AppliedRequest;
using keyspace::EpochEnd;
using keyspace::LogEntry;
using keyspace::Revision;

constexpr unsigned completes_flag = 1;
constexpr unsigned request_flag = 2;
constexpr std::size_t smallest_log_entry = 2 + smallest_entry;
constexpr std::size_t smallest_request = 6;

// --- encoding -------------------------------------------------------------------------------

void pack_history(Packer& packer, const std::vector<EpochEnd>& history) {
  const std::size_t count = std::min(history.size(), keyspace::ReplicaLog::max_epochs);
  packer.array(count);
  for (auto epoch = history.end() - static_cast<std::ptrdiff_t>(count); epoch != history.end();
       ++epoch) {
    packer.array(3);
    packer.number(epoch->epoch);
    packer.number(epoch->lineage);
    packer.number(epoch->last);
  }
}

void pack_request(Packer& packer, const AppliedRequest& request, std::uint32_t fields) {
  packer.array(fields);
  packer.bytes(request.client);
  packer.number(request.number);
  packer.number(request.settled);
}

std::string encode_message(const Follow& follow) {
  return message(Kind::follow, 7, 128 + 24 * follow.history.size(), [&](Packer& packer) {
    packer.text(follow.partition);
    packer.text(follow.shard);
    packer.text(follow.identity);
    packer.number(follow.epoch);
    packer.number(follow.session);
    packer.revision(follow.committed);
    pack_history(packer, follow.history);
  });
}

std::string encode_message(const Stored& stored) {
  return message(Kind::stored, 6, 128, [&](Packer& packer) {
    packer.text(stored.partition);
    packer.text(stored.shard);
    packer.text(stored.identity);
    packer.number(stored.epoch);
    packer.number(stored.session);
    packer.revision(stored.position);
  });
}

std::string encode_message(const Append& append) {
  std::size_t hint = 96 + append.partition.size();
  for (const LogEntry& entry : append.entries) hint += 48 + entry.update->encoded().size();
  std::string frame = message(Kind::append, 9, hint, [&](Packer& packer) {
    packer.text(append.partition);
    packer.number(append.epoch);
    packer.number(append.session);
    packer.number(append.number);
    packer.number(append.of_epoch);
    packer.number(append.of_lineage);
    packer.revision(append.after);
    packer.revision(append.committed);
    packer.number(append.entries.size());
  });
  for (const LogEntry& entry : append.entries) append_log_entry(frame, entry);
  return frame;
}

std::string encode_message(const Snapshot& snapshot) {
  const std::size_t hint = 128 + snapshot.partition.size() + size_of(snapshot.updates) +
                           48 * snapshot.requests.size() + 24 * snapshot.history.size();
  std::string frame = message(Kind::snapshot, 9, hint, [&](Packer& packer) {
    packer.text(snapshot.partition);
    packer.number(snapshot.epoch);
    packer.number(snapshot.session);
    packer.number(snapshot.number);
    packer.revision(snapshot.cut);
    if (snapshot.history.empty()) {
      packer.nil();
    } else {
      pack_history(packer, snapshot.history);
    }
    packer.boolean(snapshot.last);
    packer.number(snapshot.updates.size());
    packer.number(snapshot.requests.size());
  });
  append_entries(frame, snapshot.updates);
  Packer packer(frame);
  for (const AppliedRequest& request : snapshot.requests) {
    pack_request(packer, request, 4);
    packer.revision(request.revision);
  }
  return frame;
}

std::string encode_message(const Unled& unled) {
  return message(Kind::unled, 4, 64 + unled.partition.size(), [&](Packer& packer) {
    packer.text(unled.partition);
    packer.number(unled.epoch);
    packer.number(unled.session);
    packer.text(unled.identity);
  });
}

// --- decoding -------------------------------------------------------------------------------

std::uint32_t read_epoch(Reader& in) { return in.small_number("epoch", 0, Revision::max_epoch); }

std::string_view read_name(Reader& in, const char* field) {
  const std::string_view name = in.text(field);
  if (name.size() > max_replica_name_bytes) {
    Reader::fail(Fault::too_large, field, "is beyond the limit");
  }
  return name;
}

std::vector<EpochEnd> read_history(Reader& in) {
  std::uint32_t before = 0;
  const auto read = [&](Reader& from) {
    from.array_of("epoch", 3);
    EpochEnd epoch;
    epoch.epoch = from.small_number("epoch", before + 1, Revision::max_epoch);
    epoch.lineage = from.number("lineage", 1, UINT64_MAX);
    epoch.last = from.number("last", 0, Revision::max_counter);
    before = epoch.epoch;
    return epoch;
  };
  return read_all(in, "history", read, keyspace::ReplicaLog::max_epochs);
}

AppliedRequest read_request(Reader& in, std::uint32_t fields) {
  in.array_of("request", fields);
  AppliedRequest request;
  request.client = in.bytes("client", link_client_bytes);
  request.number = in.number("number", 1, UINT64_MAX);
  request.settled = in.number("settled", 0, request.number);
  if (fields == 4) request.revision = in.revision("revision");
  return request;
}

LogEntry read_log_entry(Reader& in) {
  in.array_of("entry", 1);
  const std::uint32_t flags = in.small_number("flags", 0, completes_flag | request_flag);
  if (flags == request_flag) Reader::fail(Fault::bad_field, "flags", "are of a part of a request");
  LogEntry entry{.update = read_update(in), .completes = (flags & completes_flag) != 0};
  if ((flags & request_flag) != 0) {
    AppliedRequest request = read_request(in, 3);
    request.revision = entry.update->revision;
    entry.request = std::make_shared<const AppliedRequest>(std::move(request));
  }
  return entry;
}

Follow read_follow(Reader& in) {
  Follow follow;
  follow.partition = in.subtree("partition");
  follow.shard = read_name(in, "shard");
  follow.identity = read_name(in, "identity");
  follow.epoch = read_epoch(in);
  follow.session = in.number("session");
  follow.committed = in.revision("committed");
  follow.history = read_history(in);
  return follow;
}

Stored read_stored(Reader& in) {
  Stored stored;
  stored.partition = in.subtree("partition");
  stored.shard = read_name(in, "shard");
  stored.identity = read_name(in, "identity");
  stored.epoch = read_epoch(in);
  stored.session = in.number("session");
  stored.position = in.revision("position");
  return stored;
}

ToLeader read_to_leader(Reader& in) {
  const Opening message = open(in);
  switch (message.kind) {
    case Kind::follow: message.wants("follow", 7); return read_follow(in);
    case Kind::stored: message.wants("stored", 6); return read_stored(in);
    default: fail_kind();
  }
}

// Contiguous entries of the epoch, after `after`.
void read_entries(Reader& in, Append& append) {
  const std::uint32_t count = read_count(in, "entries", smallest_log_entry);
  Revision last =
      append.after.epoch() == append.of_epoch ? append.after : Revision(append.of_epoch, 0);
  if (count > Revision::max_counter - last.counter()) {
    Reader::fail(Fault::bad_field, "after", "overflows");
  }
  append.entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    append.entries.push_back(read_log_entry(in));
    last = last.next();
    if (append.entries.back().update->revision != last) {
      Reader::fail(Fault::bad_field, "entries", "are not contiguous");
    }
  }
}

Append read_append(Reader& in) {
  Append append;
  append.partition = in.subtree("partition");
  append.epoch = read_epoch(in);
  append.session = in.number("session");
  append.number = in.number("number");
  append.of_epoch = in.small_number("of_epoch", 1, append.epoch);
  append.of_lineage = in.number("of_lineage", 1, UINT64_MAX);
  append.after = in.revision("after");
  append.committed = in.revision("committed");
  if (append.after.epoch() > append.of_epoch) {
    Reader::fail(Fault::bad_field, "after", "is of a later epoch");
  }
  read_entries(in, append);
  return append;
}

Snapshot read_snapshot(Reader& in) {
  Snapshot snapshot;
  snapshot.partition = in.subtree("partition");
  snapshot.epoch = read_epoch(in);
  snapshot.session = in.number("session");
  snapshot.number = in.number("number");
  snapshot.cut = in.revision("cut");
  if (!in.nil()) snapshot.history = read_history(in);
  snapshot.last = in.boolean("last");
  const std::uint32_t updates = in.small_number("count", 0, max_message_updates);
  const std::uint32_t requests = read_count(in, "requests", smallest_request);
  if (updates > in.left() / smallest_entry) {
    Reader::fail(Fault::malformed, "updates", "are cut short");
  }
  snapshot.updates = read_updates(in, updates);
  for (const keyspace::UpdatePtr& update : snapshot.updates) {
    if (update->deleted || update->revision > snapshot.cut) {
      Reader::fail(Fault::bad_field, "updates", "are not of the cut");
    }
  }
  snapshot.requests.reserve(requests);
  for (std::uint32_t i = 0; i < requests; ++i) snapshot.requests.push_back(read_request(in, 4));
  return snapshot;
}

Unled read_unled(Reader& in) {
  Unled unled;
  unled.partition = in.subtree("partition");
  unled.epoch = read_epoch(in);
  unled.session = in.number("session");
  unled.identity = read_name(in, "identity");
  return unled;
}

ToFollower read_to_follower(Reader& in) {
  const Opening message = open(in);
  switch (message.kind) {
    case Kind::append: message.wants("append", 9); return read_append(in);
    case Kind::snapshot: message.wants("snapshot", 9); return read_snapshot(in);
    case Kind::unled: message.wants("unled", 4); return read_unled(in);
    default: fail_kind();
  }
}

}  // namespace

std::string encode(const ToLeader& message) {
  return std::visit([](const auto& body) { return encode_message(body); }, message);
}

std::string encode(const ToFollower& message) {
  return std::visit([](const auto& body) { return encode_message(body); }, message);
}

base::Result<ToLeader> decode_to_leader(std::string_view frame) {
  return decode_whole(frame, read_to_leader);
}

base::Result<ToFollower> decode_to_follower(std::string_view frame) {
  return decode_whole(frame, read_to_follower);
}

void append_log_entry(std::string& out, const LogEntry& entry) {
  assert(entry.request == nullptr || entry.completes);
  Packer packer(out);
  packer.array(1);
  packer.number((entry.completes ? completes_flag : 0) | (entry.request ? request_flag : 0));
  append_entry(out, *entry.update);
  if (entry.request) pack_request(packer, *entry.request, 3);
}

base::Result<LogEntry> decode_log_entry(std::string_view bytes) {
  return decode_whole(bytes, read_log_entry);
}

}  // namespace canopy::wire
