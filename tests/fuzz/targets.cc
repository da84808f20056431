#include "tests/fuzz/targets.h"

#include <cstdlib>

#include "core/base/limits.h"
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
           Hello{"p1", 4, 8'388'607, "r", "x-1"}, Ping{}, Announce{"proxies/p1", "{}"},
           Campaign{"/results/", 3, 2}, CompareAndSet{9, "replicas/", "v", 1ull << 63},
           Watch{"shards/"}, Resign{}}) {
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
           cluster::Granted{"", 5}, cluster::Lost{"/results/"}, cluster::Swapped{9, true},
           cluster::Failed{cluster::Fault::key_taken, "k"}, cluster::Renewed{7}}) {
    frames.push_back(encode(reply, 77));
  }
  return frames;
}

// --- ZMTP ---------------------------------------------------------------------------------------

constexpr zmtp::Limits zmtp_limits{.frame_bytes = 100, .message_bytes = 150, .parts = 4};

// The first byte says of which type we are, the second where the bytes are cut: what is told does
// not depend on it.
void feed_zmtp_peer(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const auto type = static_cast<zmtp::SocketType>(static_cast<unsigned char>(bytes[0]) % 11);
  const std::size_t cut = static_cast<unsigned char>(bytes[1]);
  bytes.remove_prefix(2);
  zmtp::Peer whole({.type = type, .limits = zmtp_limits});
  zmtp::Recorder told;
  const zmtp::Fault fault = whole.receive(bytes, told);
  zmtp::Peer peer({.type = type, .limits = zmtp_limits});
  zmtp::Recorder again;
  peer.receive(bytes.substr(0, cut), again);
  must(peer.receive(bytes.substr(std::min(cut, bytes.size())), again) == fault);
  must(again.messages == told.messages && again.subscriptions == told.subscriptions);
  must(again.ready.size() == told.ready.size() && peer.output() == whole.output());
  for (const auto& message : told.messages) must(message.size() <= zmtp_limits.parts);
}

std::vector<std::string> zmtp_talks() {
  using namespace zmtp;
  const std::string router(1, static_cast<char>(SocketType::router));
  const std::string xpub(1, static_cast<char>(SocketType::xpub));
  return {router + "\x40" + greeting(1) + ready("DEALER", "id") + message({"a", "", "b"}),
          router + "\x10" + greeting_2(SocketType::dealer, "id") + message({"a", "b"}),
          xpub + "\x80" + greeting(1) + ready("SUB") + command("SUBSCRIBE", "/a/") +
              command("PING", std::string("\0\1", 2) + "c") + message({"\1/b/"})};
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
      {"zmtp_peer", feed_zmtp_peer, zmtp_talks()},
  };
  add(all, wire::link_decoders());
  add(all, wire::native::native_decoders());
  return all;
}

}  // namespace canopy::fuzz
