// What proxies and brokers read: requests.
#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/native_broker.h"
#include "core/wire/native_message.h"

namespace canopy::wire::native {
namespace {

constexpr std::uint64_t first_request = 1;

std::uint64_t read_request(Reader& in) { return in.number("request", first_request, UINT64_MAX); }

Write read_write(Reader& in) {
  in.array_of("write", 5);
  Write write;
  write.key = in.key("key");
  write.deletes = in.nil();
  if (!write.deletes) write.value = in.value("value");
  write.ttl_ms = in.signed_number("ttl_ms", max_ttl_ms);
  write.if_revision = in.revision_or_nil("if_revision");
  write.properties = in.properties("properties");
  return write;
}

WriteRequest read_write_request(Message& message) {
  message.wants("write", 3);
  Reader& in = message.in;
  WriteRequest request;
  request.number = read_request(in);
  request.settled = in.number("settled", 0, request.number);
  const std::uint32_t count = in.array("writes", max_writes);
  if (count == 0) Reader::fail(Fault::bad_field, "writes", "are none");
  request.writes.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) request.writes.push_back(read_write(in));
  in.end("write");
  return request;
}

// Text that people are to read.
std::string read_label(Reader& in, const char* field) {
  const std::string_view text = in.text(field);
  if (keyspace::check_prefix(text) != keyspace::KeyFault::none) {
    Reader::fail(Fault::bad_field, field, "is too long or holds control characters");
  }
  return std::string(text);
}

Announce read_announce(Message& message) {
  message.wants("announce", 4);
  Reader& in = message.in;
  Announce announce{.request = read_request(in)};
  announce.client = in.bytes("client");
  if (!announce.client.empty() && announce.client.size() != client_id_bytes) {
    Reader::fail(Fault::bad_field, "client", "wants 16 bytes");
  }
  announce.name = read_label(in, "name");
  announce.software = read_label(in, "software");
  in.end("announce");
  return announce;
}

std::string read_watchable(Reader& in) {
  const std::string_view subtree = in.text("subtree");
  if (!is_watchable(subtree)) {
    Reader::fail(Fault::bad_subtree, "subtree", "is neither a subtree nor a key");
  }
  return std::string(subtree);
}

Watch read_watch(Message& message) {
  message.wants("watch", 5);
  Reader& in = message.in;
  Watch watch{.request = read_request(in)};
  watch.subscription.subtree = read_watchable(in);
  watch.subscription.latest_ms = in.small_number("latest_ms", 0, max_latest_ms);
  watch.subscription.lz4 = in.number("lz4", 0, 1) == 1;
  read_revisions(in, watch.known);
  in.end("watch");
  return watch;
}

Get read_get(Message& message) {
  message.wants("get", 2);
  Get get{.request = read_request(message.in)};
  get.key = message.in.key("key");
  message.in.end("get");
  return get;
}

List read_list(Message& message) {
  message.wants("list", 3);
  List list{.request = read_request(message.in)};
  list.subtree = read_watchable(message.in);
  list.limit = message.in.number("limit");
  message.in.end("list");
  return list;
}

Kick read_kick(Message& message) {
  message.wants("kick", 2);
  Kick kick{.request = read_request(message.in)};
  kick.connection = message.in.number("connection");
  message.in.end("kick");
  return kick;
}

ToProxy read_to_proxy(Message message) {
  if (message.in.left() > base::max_client_frame_bytes) {
    Reader::fail(Fault::too_large, "message", "is larger than a frame may be");
  }
  switch (static_cast<Kind>(message.kind)) {
    case Kind::announce: return read_announce(message);
    case Kind::write: return read_write_request(message);
    case Kind::watch: return read_watch(message);
    case Kind::unwatch: return read_numbered<Unwatch>(message, "unwatch", first_request);
    case Kind::get: return read_get(message);
    case Kind::list: return read_list(message);
    case Kind::ping: return read_numbered<Ping>(message, "ping", first_request);
    case Kind::clients: return read_numbered<Clients>(message, "clients", first_request);
    case Kind::kick: return read_kick(message);
    default: fail_kind();
  }
}

std::string read_partition(Reader& in) {
  const std::string_view partition = in.text("partition");
  if (!keyspace::is_subtree(partition)) {
    Reader::fail(Fault::bad_subtree, "partition", "is no subtree");
  }
  return std::string(partition);
}

Elect read_elect(Message& message) {
  message.wants("elect", 3);
  Reader& in = message.in;
  Elect elect{.request = read_request(in)};
  elect.partition = read_partition(in);
  elect.shard = read_label(in, "shard");
  in.end("elect");
  return elect;
}

Backup read_backup(Message& message) {
  message.wants("backup", 4);
  Reader& in = message.in;
  Backup backup{.request = read_request(in)};
  backup.shard = read_label(in, "shard");
  backup.name = read_label(in, "name");
  backup.order = read_label(in, "order");
  in.end("backup");
  return backup;
}

Place read_place(Message& message) {
  message.wants("place", 3);
  Reader& in = message.in;
  Place place{.request = read_request(in)};
  place.partition = read_partition(in);
  const std::uint32_t count = in.array("shards", base::max_replicas);
  for (std::uint32_t i = 0; i < count; ++i) place.shards.push_back(read_label(in, "shard"));
  in.end("place");
  return place;
}

Split read_split(Message& message) {
  message.wants("split", 2);
  Reader& in = message.in;
  Split split{.request = read_request(in)};
  split.subtree = in.subtree("subtree");
  if (split.subtree.empty()) Reader::fail(Fault::bad_subtree, "subtree", "is the root");
  in.end("split");
  return split;
}

ToBroker read_to_broker(Message message) {
  Reader& in = message.in;
  if (message.is(Kind::directory)) {
    message.wants("directory", 2);
    Directory directory;
    directory.request = read_request(in);
    directory.prefix = read_label(in, "prefix");
    in.end("directory");
    return directory;
  }
  if (message.is(Kind::drain)) {
    message.wants("drain", 2);
    Drain drain;
    drain.request = read_request(in);
    drain.name = read_label(in, "name");
    if (drain.name.empty()) Reader::fail(Fault::bad_field, "name", "is empty");
    in.end("drain");
    return drain;
  }
  if (message.is(Kind::elect)) return read_elect(message);
  if (message.is(Kind::backup)) return read_backup(message);
  if (message.is(Kind::place)) return read_place(message);
  if (message.is(Kind::split)) return read_split(message);
  if (message.is(Kind::reload)) return read_numbered<Reload>(message, "reload", first_request);
  fail_kind();
}

// What can be told of a request that was refused: 0 what cannot.
Refusal refusal_of(std::string_view frame) {
  Refusal refusal;
  try {
    Message message = open_frame(frame);
    refusal.of = message.kind <= UINT8_MAX ? static_cast<unsigned>(message.kind) : 0;
    refusal.request = message.in.number("request");
  } catch (const Unreadable&) {
    // As far as that.
  }
  return refusal;
}

template <typename Request>
std::variant<Request, Refusal> decode_request(std::string_view frame, Request (*read)(Message)) {
  try {
    return read(open_frame(frame));
  } catch (const Unreadable& unreadable) {
    Refusal refusal = refusal_of(frame);
    refusal.fault = unreadable.fault;
    refusal.text = unreadable.text;
    return refusal;
  }
}

}  // namespace

std::variant<ToProxy, Refusal> decode_to_proxy(std::string_view frame) {
  return decode_request(frame, read_to_proxy);
}

std::variant<ToBroker, Refusal> decode_to_broker(std::string_view frame) {
  return decode_request(frame, read_to_broker);
}

bool is_native(std::string_view frame) {
  if (frame.empty()) return false;
  try {
    return open(frame.substr(1)).kind >= static_cast<std::uint64_t>(Kind::announce);
  } catch (const Unreadable&) {
    return false;
  }
}

}  // namespace canopy::wire::native
