#include "tests/fuzz/targets.h"

#include <cstdlib>
#include <map>

#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/coordination/base64.h"
#include "core/coordination/etcd_view.h"
#include "core/coordination/json_splitter.h"
#include "core/coordination/messages.h"
#include "core/keyspace/key.h"
#include "core/wire/clone.h"
#include "core/zmtp/peer.h"
#include "tests/unit/core/wire/decoders.h"
#include "tests/unit/core/zmtp/peers.h"

namespace canopy::fuzz {
namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

// Whatever is taken for a message is one: encoded again, it is read as the same.
template <typename Again>
void feed_twice(Again&& again, std::string_view bytes) {
  if (const auto once = again(bytes)) must(again(*once) == once);
}

void add(std::vector<Target>& all, const std::vector<wire::Decoder>& decoders) {
  for (const wire::Decoder& decoder : decoders) {
    const auto feed = [again = decoder.again](std::string_view bytes) { feed_twice(again, bytes); };
    all.push_back({decoder.name, feed, decoder.samples});
  }
}

// --- Clone messages, of several frames ---------------------------------------------------------

// Frames as one string: each after a byte that says its length, the last one without.
std::string joined(std::string head, const std::vector<std::string_view>& frames) {
  for (std::size_t i = 0; i + 1 < frames.size(); ++i) {
    head += static_cast<char>(frames[i].size());
    head += frames[i];
  }
  head += '\xff';
  return head.append(frames.back());
}

std::vector<std::string_view> split(std::string_view bytes) {
  std::vector<std::string_view> frames;
  while (!bytes.empty()) {
    const auto size = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    frames.push_back(size == 0xff ? bytes : bytes.substr(0, size));
    bytes.remove_prefix(frames.back().size());
  }
  return frames;
}

void feed_clone_write(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto dialect = wire::clone::dialects[static_cast<unsigned char>(bytes.front()) %
                                             wire::clone::dialects.size()];
  const auto parsed = wire::clone::parse_write(dialect, split(bytes.substr(1)));
  if (const auto* rejection = std::get_if<wire::clone::Rejection>(&parsed)) {
    must(!rejection->reason.empty());
    return;
  }
  const wire::Write& write = std::get<wire::clone::ClientWrite>(parsed).write;
  must(keyspace::check_key(write.key) == keyspace::KeyFault::none);
  must(write.value.size() <= base::max_value_bytes && write.deletes == write.value.empty());
  must(write.properties.size() <= base::max_properties_bytes);
  must(write.uuid.size() <= base::max_uuid_bytes);
  must(write.ttl_ms >= 0 && write.ttl_ms <= wire::native::max_ttl_ms);
}

void feed_clone_snapshot_request(std::string_view bytes) {
  const auto parsed = wire::clone::parse_snapshot_request(split(bytes));
  if (const auto* prefix = std::get_if<std::string_view>(&parsed)) {
    must(keyspace::check_prefix(*prefix) == keyspace::KeyFault::none);
  } else {
    must(!std::get<wire::clone::Rejection>(parsed).reason.empty());
  }
}

// --- processes and the broker ------------------------------------------------------------------

void feed_coordination_request(std::string_view bytes) {
  feed_twice(
      [](std::string_view frame) -> std::optional<std::string> {
        const auto message = coordination::decode_request(frame);
        return message ? std::optional(encode(message->body, message->number)) : std::nullopt;
      },
      bytes);
}

void feed_coordination_reply(std::string_view bytes) {
  feed_twice(
      [](std::string_view frame) -> std::optional<std::string> {
        const auto message = coordination::decode_reply(frame);
        return message ? std::optional(encode(message->body, message->number)) : std::nullopt;
      },
      bytes);
}

std::vector<std::string> coordination_requests() {
  using namespace coordination;
  std::vector<std::string> frames;
  for (const Request& request : std::initializer_list<Request>{
           Register{"p1", 4, 8'388'607, "r", "x-1"}, Ping{}, Announce{"proxies/p1", "{}"},
           CompareAndSet{9, "replicas/", "v", 1ull << 63}, Watch{"shards/"}, Resign{}}) {
    frames.push_back(encode(request, 77));
  }
  return frames;
}

std::vector<std::string> coordination_replies() {
  using namespace coordination;
  std::vector<std::string> frames;
  for (const Reply& reply : std::initializer_list<Reply>{
           Welcome{3'000'000, 5, "r", 7}, Pong{7}, cluster::KeyChanged{"k", "v", 12},
           cluster::KeyChanged{"k", std::nullopt, 13}, cluster::Watched{""},
           cluster::Swapped{9, true}, cluster::Failed{cluster::Fault::key_taken, "k"},
           cluster::Renewed{7}}) {
    frames.push_back(encode(reply, 77));
  }
  return frames;
}

// --- etcd ----------------------------------------------------------------------------------------

namespace etcd = coordination::etcd;

// The first byte says of what it is the answer.
void feed_etcd_answer(std::string_view bytes) {
  if (bytes.empty()) return;
  const char of = bytes.front();
  bytes.remove_prefix(1);
  if (of == 's') {
    const auto swap = etcd::parse_swap(bytes);
    must(!swap || !(swap->swapped && swap->found));
  } else if (of == 'l') {
    const auto lease = etcd::parse_lease(bytes);
    must(!lease || (lease->id != 0 && lease->ttl <= etcd::longest_lease));
  } else if (of == 't') {
    const auto token = etcd::parse_token(bytes);
    must(!token || !base::has_control(*token));
  } else if (of == 'h') {
    if (const auto holder = etcd::parse_holder(bytes)) {
      must(*etcd::parse_holder(to_json(*holder)) == *holder);
    }
  } else if (of == 'g') {
    if (const auto generations = etcd::parse_generations(bytes)) {
      must(*etcd::parse_generations(to_json(*generations)) == *generations);
    }
  } else {
    const etcd::Failure failure = etcd::parse_failure(bytes);
    must(!failure.text.empty() && !base::has_control(failure.text));
  }
}

// A stream of answers, of which the first byte says where it is cut; what is found does not depend
// on it. What begins with "kvs" is taken for a list.
void feed_etcd_watch(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::size_t cut = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  std::vector<std::string> whole, pieces;
  coordination::JsonSplitter splitter(300), again(300);
  const bool fine = splitter.feed(bytes, [&](auto object) { whole.emplace_back(object); });
  const auto add = [&](auto object) { pieces.emplace_back(object); };
  const bool also = again.feed(bytes.substr(0, cut), add) &&
                    again.feed(bytes.substr(std::min(cut, bytes.size())), add);
  must(fine == also && whole == pieces);

  etcd::View view("k", 0);
  std::vector<coordination::Event> events;
  std::map<std::string, std::uint64_t> present;
  for (const std::string& object : whole) {
    must(object.size() <= 300);
    if (const auto list = etcd::parse_list(object); list && !list->found.empty()) {
      view.begin_list();
      view.apply_list(list->revision, list->found, events);
    } else if (const auto message = etcd::parse_watch(object)) {
      view.apply(*message, events);
    }
  }
  for (const auto& event : events) {
    must(event.key.starts_with("k"));
    if (event.value) {
      present[event.key] = event.version;
    } else {
      must(present.erase(event.key) == 1);  // of a key that was recorded
    }
  }
}

void feed_base64(std::string_view text) {
  const auto bytes = coordination::from_base64(text);
  must(!bytes || coordination::to_base64(*bytes) == text);
}

const std::string etcd_header = R"("header":{"cluster_id":"12","revision":"7","raft_term":"2"})";

std::vector<std::string> etcd_answers() {
  return {"s{" + etcd_header + R"(,"succeeded":true,"responses":[{"response_put":{}}]})",
          "s{" + etcd_header + R"(,"responses":[{"response_range":{)" + etcd_header +
              R"(,"kvs":[{"key":"aw==","mod_revision":"2","value":"dg=="}]}}]})",
          R"(l{"ID":"904","TTL":"2"})",
          R"(l{"result":{"ID":"904"}})",
          R"(t{"token":"a.7"})",
          R"(h{"identity":"x","generation":7})",
          R"(g{"last":7,"record":"x"})",
          R"(f{"error":"etcdserver: no leader","code":14})"};
}

std::vector<std::string> etcd_streams() {
  const std::string put =
      R"({"result":{)" + etcd_header +
      R"(,"events":[{"kv":{"key":"aw==","mod_revision":"6","value":"dg=="}}]}})";
  const std::string gone =
      R"({"result":{)" + etcd_header +
      R"(,"events":[{"type":"DELETE","kv":{"key":"aw==","mod_revision":"9"}}]}})";
  const std::string list =
      "{" + etcd_header + R"(,"kvs":[{"key":"azE=","mod_revision":"3"},{"key":"aw=="}]})";
  return {"\x20" + put + "\n" + gone + "\n" + list, "\x40" + list + gone + put,
          R"(!{"result":{"canceled":true,"compact_revision":"5"}}{"error":{"message":"x"}})"};
}

// --- ZMTP ---------------------------------------------------------------------------------------

constexpr zmtp::Limits zmtp_limits{.frame_bytes = 100, .message_bytes = 150, .parts = 4};

// The first byte says of which type we are, and by its highest bit that we connect; the second
// where the bytes are cut: what is recorded does not depend on it.
void feed_zmtp_peer(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const zmtp::Peer::Settings settings{.type = static_cast<zmtp::SocketType>((first & 0x7f) % 11),
                                      .limits = zmtp_limits,
                                      .connects = (first & 0x80) != 0};
  const std::size_t cut = static_cast<unsigned char>(bytes[1]);
  bytes.remove_prefix(2);
  zmtp::Peer whole(settings);
  zmtp::Recorder recorded;
  const zmtp::Fault fault = whole.receive(bytes, recorded);
  zmtp::Peer peer(settings);
  zmtp::Recorder again;
  peer.receive(bytes.substr(0, cut), again);
  must(peer.receive(bytes.substr(std::min(cut, bytes.size())), again) == fault);
  must(again.messages == recorded.messages && again.subscriptions == recorded.subscriptions);
  must(again.ready.size() == recorded.ready.size() && peer.output() == whole.output());
  for (const auto& message : recorded.messages) must(message.size() <= zmtp_limits.parts);
}

std::vector<std::string> zmtp_talks() {
  using namespace zmtp;
  const std::string router(1, static_cast<char>(SocketType::router));
  const std::string xpub(1, static_cast<char>(SocketType::xpub));
  const std::string connecting_sub(1, static_cast<char>(0x80 | static_cast<int>(SocketType::sub)));
  return {router + "\x40" + greeting(1) + ready("DEALER", "id") + message({"a", "", "b"}),
          router + "\x10" + greeting_2(SocketType::dealer, "id") + message({"a", "b"}),
          xpub + "\x80" + greeting(1) + ready("SUB") + command("SUBSCRIBE", "/a/") +
              command("PING", std::string("\0\1", 2) + "c") + message({"\1/b/"}),
          connecting_sub + "\x30" + greeting(1) + ready("XPUB") + message({"/a/", "value"})};
}

}  // namespace

std::vector<Target> targets() {
  const std::string sequence(8, '\0');
  const std::string uuid(16, 'u');
  const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
  std::vector<Target> all{
      {"clone_write",
       feed_clone_write,
       {joined("0", {"/a", sequence, "v"}), joined("1", {"/a", sequence, uuid, "ttl=3\n", "v"}),
        joined("2", {"/a", sequence, "", "", ""}), joined("0", {"/a", "\x01\x02\x03\x04", "v"}),
        joined("1", {"/a", sequence, text, "ttl= +30.000000\n", "v"}),
        joined("1", {"/a", sequence, text, "ttl=1e400\nttl=-2.5\n", "v"})}},
      {"clone_snapshot_request",
       feed_clone_snapshot_request,
       {joined({}, {wire::clone::snapshot_request}),
        joined({}, {wire::clone::snapshot_request, "/a/"})}},
      {"coordination_request", feed_coordination_request, coordination_requests()},
      {"coordination_reply", feed_coordination_reply, coordination_replies()},
      {"etcd_answer", feed_etcd_answer, etcd_answers()},
      {"etcd_watch", feed_etcd_watch, etcd_streams()},
      {"base64", feed_base64, {"", "Zg==", "Zm8=", "Zm9v"}},
      {"zmtp_peer", feed_zmtp_peer, zmtp_talks()},
  };
  add(all, wire::link_decoders());
  add(all, wire::replication_decoders());
  add(all, wire::native::native_decoders());
  return all;
}

}  // namespace canopy::fuzz
