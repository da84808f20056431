// The messages between a local coordinator and the broker, as bytes. Pure.
//
// One message is one frame:
//   byte 0     version of the protocol (3)
//   then       one MessagePack array: [type, number, fields…]
//
//   type  message          fields
//      1  Register         name, generation, known, record, identity
//      2  Ping
//      3  Announce         key, value
//      5  CompareAndSet    request, key, value, expected
//      6  Watch            prefix
//      7  Resign
//     65  Welcome          lease_us, generation, record, answers
//     66  Pong             answers
//     67  KeyChanged       key, value or nil, version
//     68  Watched          prefix
//     71  Swapped          request, swapped
//     72  Failed           fault, subject
//     73  Renewed          generation
//
// Names, keys, prefixes and subjects are strings; values are binary. The number counts the messages
// of one direction. The count starts anew at the number of each Register and Welcome. A hole shows
// that a message was lost; the process then registers again. Number 0 is not counted. `answers` is
// the number of the Register or Ping that is answered.
//
// Decoding never throws: a frame that is not exactly a message is an Error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "core/base/result.h"
#include "core/cluster/registry.h"

namespace canopy::coordination {

inline constexpr std::size_t max_message_bytes =
    cluster::max_directory_value_bytes + (std::size_t{1} << 10);

using Register = cluster::Registration;
struct Ping {};
struct Announce {
  std::string key{};
  std::string value{};
};
struct CompareAndSet {
  std::uint64_t request = 0;
  std::string key{};
  std::string value{};
  std::uint64_t expected = 0;
};
struct Watch {
  std::string prefix{};
};
struct Resign {};
using Request = std::variant<Register, Ping, Announce, CompareAndSet, Watch, Resign>;

struct Welcome {
  std::uint64_t lease_us = 0;
  std::uint32_t generation = 0;
  std::string record{};  // of the directory
  std::uint64_t answers = 0;
};
struct Pong {
  std::uint64_t answers = 0;
};
using Reply = std::variant<Welcome, Pong, cluster::KeyChanged, cluster::Watched, cluster::Swapped,
                           cluster::Failed, cluster::Renewed>;

template <typename Body>
struct Numbered {
  std::uint64_t number = 0;
  Body body;
};

std::string encode(const Request& request, std::uint64_t number);
std::string encode(const Reply& reply, std::uint64_t number);
base::Result<Numbered<Request>> decode_request(std::string_view frame);
base::Result<Numbered<Reply>> decode_reply(std::string_view frame);

}  // namespace canopy::coordination
