// What proxies and brokers read: requests.
#include "core/base/limits.h"
#include "core/keyspace/key.h"
#include "core/wire/native_message.h"

namespace canopy::wire::native {
namespace {

std::uint64_t read_request(Reader& in) { return in.number("request", 1, UINT64_MAX); }

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
  message.wants("write", 4);
  Reader& in = message.in;
  WriteRequest request;
  request.client = in.bytes("client");
  request.number = read_request(in);
  if (request.client.size() != client_id_bytes) {
    Reader::fail(Fault::bad_field, "client", "wants 16 bytes");
  }
  request.settled = in.number("settled", 0, request.number);
  const std::uint32_t count = in.array("writes", max_writes);
  if (count == 0) Reader::fail(Fault::bad_field, "writes", "are none");
  request.writes.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) request.writes.push_back(read_write(in));
  in.end("write");
  return request;
}

Fetch read_fetch(Message& message) {
  message.wants("fetch", 6);
  Reader& in = message.in;
  Fetch fetch;
  fetch.request = read_request(in);
  fetch.topic = in.bytes("topic");
  fetch.subtree = in.text("subtree");
  if (!is_watchable(fetch.subtree)) {
    Reader::fail(Fault::bad_subtree, "subtree", "is neither a subtree nor a key");
  }
  if (!fetch.topic.empty()) {
    const auto subscription = parse_topic(fetch.topic);
    if (!subscription) Reader::fail(Fault::bad_field, "topic", "is not the topic of a stream");
    if (subscription->subtree != fetch.subtree) {
      Reader::fail(Fault::bad_subtree, "subtree", "is not that of the topic");
    }
  }
  read_revisions(in, fetch.known);
  if (!in.nil()) {
    in.array_of("gap", 3);
    Gap& gap = fetch.gap.emplace();
    gap.incarnation = in.number("incarnation");
    gap.had = in.number("had");
    gap.saw = in.number("saw");
    if (gap.saw <= gap.had) Reader::fail(Fault::bad_field, "gap", "is none");
  }
  fetch.credit = in.small_number("credit", 1, max_credit);
  in.end("fetch");
  return fetch;
}

Credit read_credit(Message& message) {
  message.wants("credit", 2);
  Credit credit;
  credit.request = read_request(message.in);
  credit.chunks = message.in.small_number("chunks", 1, max_credit);
  message.in.end("credit");
  return credit;
}

ToProxy read_to_proxy(Message message) {
  if (message.in.left() > base::max_client_frame_bytes) {
    Reader::fail(Fault::too_large, "message", "is larger than a frame may be");
  }
  if (message.is(Kind::write)) return read_write_request(message);
  if (message.is(Kind::fetch)) return read_fetch(message);
  if (message.is(Kind::credit)) return read_credit(message);
  fail_kind();
}

std::string read_prefix(Reader& in, const char* field) {
  const std::string_view prefix = in.text(field);
  if (keyspace::check_prefix(prefix) != keyspace::KeyFault::none) {
    Reader::fail(Fault::bad_field, field, "is too long or holds control characters");
  }
  return std::string(prefix);
}

ToBroker read_to_broker(Message message) {
  Reader& in = message.in;
  if (message.is(Kind::directory)) {
    message.wants("directory", 2);
    Directory directory;
    directory.request = read_request(in);
    directory.prefix = read_prefix(in, "prefix");
    in.end("directory");
    return directory;
  }
  if (message.is(Kind::drain)) {
    message.wants("drain", 2);
    Drain drain;
    drain.request = read_request(in);
    drain.name = read_prefix(in, "name");
    if (drain.name.empty()) Reader::fail(Fault::bad_field, "name", "is empty");
    in.end("drain");
    return drain;
  }
  if (message.is(Kind::reload)) {
    message.wants("reload", 1);
    const Reload reload{.request = read_request(in)};
    in.end("reload");
    return reload;
  }
  fail_kind();
}

// The number of a request that was refused, as far as it can be told: 0 if not at all.
std::uint64_t request_of(std::string_view frame) {
  try {
    Message message = open_frame(frame);
    if (message.is(Kind::write)) message.in.bytes("client");
    return message.in.number("request");
  } catch (const Unreadable&) {
    return 0;
  }
}

template <typename Request>
std::variant<Request, Refusal> decode_request(std::string_view frame, Request (*read)(Message)) {
  try {
    return read(open_frame(frame));
  } catch (const Unreadable& unreadable) {
    return Refusal{.request = request_of(frame),
                   .fault = unreadable.fault,
                   .text = unreadable.text,
                   .revision = {}};
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
    return open(frame.substr(1)).kind >= static_cast<std::uint64_t>(Kind::write);
  } catch (const Unreadable&) {
    return false;
  }
}

}  // namespace canopy::wire::native
