// The dialects of the ZeroMQ guide's Clone pattern (chapter 5, and rfc 12/CHP), frame by frame.
// Pure code over spans of frames.
//
//   kvsimple (models 1-4)          key · sequence · body
//   kvmsg (model 5), chp (12/CHP)  key · sequence · uuid · properties · body
//
//   sequence    8 bytes, big-endian int64; in what clients send ignored, of any length
//   uuid        opaque: 16 bytes from C, 32 or 36 characters from C++, Java and Tcl; or empty
//   properties  `name=value\n`…; `ttl` in seconds lets the key expire
//   body        opaque; empty deletes the key
//
// Sequence, uuid and properties are metadata: the update is accepted whatever they hold. The
// decoder leaves out unusable metadata, and parse_write() reports it.
//
//   ICANHAZ? [· prefix]            client asks for a snapshot; without prefix: of everything
//   KTHXBAI · sequence · …         ends a snapshot; with five frames the body is the prefix
//   HUGZ · 8 zero bytes · ∅ · ∅ · ∅  a chp server's heartbeat, each second
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "core/keyspace/update.h"
#include "core/wire/write.h"

namespace canopy::wire::clone {

enum class Dialect { kvsimple, kvmsg, chp };
inline constexpr std::array dialects{Dialect::kvsimple, Dialect::kvmsg, Dialect::chp};

std::string_view name(Dialect dialect);

inline constexpr std::string_view snapshot_request = "ICANHAZ?";
inline constexpr std::string_view snapshot_end = "KTHXBAI";
inline constexpr std::string_view heartbeat = "HUGZ";

// Why a client's message was refused: a `reason` label of canopy_rejected_total.
struct Rejection {
  std::string_view reason;
};

// An update that a client sent, as it goes to the shard.
struct ClientWrite {
  Write write{};
  // Metadata that could not be used, as a `reason` label of canopy_ignored_metadata_total; or
  // empty.
  std::string_view ignored{};
};

// A uuid beyond base::max_uuid_bytes and properties beyond base::max_properties_bytes are left out.
// `ttl` is read as C's atoi or Python's float reads it, and rounded to milliseconds: the number
// that the text begins with, after blanks. Above wire::native::max_ttl_ms it counts as that;
// negative or unreadable it counts as none.
std::variant<ClientWrite, Rejection> parse_write(Dialect dialect,
                                                 std::span<const std::string_view> frames);

// The prefix that a snapshot was asked for; a view into the frames.
std::variant<std::string_view, Rejection> parse_snapshot_request(
    std::span<const std::string_view> frames);

// A message ready to send. Views into what it was made from, and into itself: neither may move
// before it is sent.
class Frames {
 public:
  Frames(Dialect dialect, std::string_view key, std::int64_t sequence, std::string_view uuid,
         std::string_view properties, std::string_view body);
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;

  std::span<const std::string_view> span() const { return {frames_.data(), count_}; }

 private:
  std::array<char, 8> sequence_;
  std::array<std::string_view, 5> frames_;
  std::size_t count_;
};

// KVPUB or KVSYNC: `update` under the sender's `sequence`.
Frames update(Dialect dialect, const keyspace::Update& update, std::int64_t sequence);
Frames end_of_snapshot(Dialect dialect, std::string_view prefix, std::int64_t sequence);
Frames heartbeat_message();

// The sequence of a received message; nothing when the frame is not 8 bytes long.
std::variant<std::int64_t, Rejection> parse_sequence(std::string_view frame);

}  // namespace canopy::wire::clone
