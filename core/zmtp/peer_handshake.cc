// From the greeting to READY.
#include <algorithm>

#include "core/zmtp/peer.h"

namespace canopy::zmtp {
namespace {

constexpr std::size_t signature_bytes = 10;
constexpr std::size_t greeting_bytes = 64;
constexpr std::size_t version_at = signature_bytes;
constexpr std::size_t minor_at = version_at + 1;
constexpr std::size_t mechanism_at = minor_at + 1;
constexpr std::size_t mechanism_bytes = 20;
constexpr char our_minor = 1;
// Before the handshake is over a frame holds a few properties, and no user's data.
constexpr std::size_t max_handshake_bytes = 4096;

std::string_view mechanism_name(bool curve) { return curve ? "CURVE" : "NULL"; }

}  // namespace

// Ten bytes and the version. ZMTP 1.0 begins with the length of an identity instead: a first byte
// other than 0xff, or a tenth with its lowest bit clear.
std::size_t Peer::read_signature(std::string_view bytes) {
  if (bytes.empty()) return 0;
  if (bytes[0] != '\xff') {
    const auto length = static_cast<std::uint8_t>(bytes[0]);
    if (length == 0) return fail(Fault::not_zmtp);
    if (bytes.size() < 2) return 0;
    return fail(bytes[1] == 0 ? Fault::version_1 : Fault::not_zmtp);
  }
  if (bytes.size() < signature_bytes) return 0;
  if ((bytes[signature_bytes - 1] & 1) == 0) return fail(Fault::version_1);
  if (bytes.size() <= version_at) return 0;
  info_.major = static_cast<std::uint8_t>(bytes[version_at]);
  if (info_.major == 0) return fail(Fault::version_1);
  if (info_.major < our_major) {  // ZMTP 2.0 calls itself 1
    if (curve_ != nullptr) return fail(Fault::mechanism);
    info_.major = 2;
    state_ = State::type;
    output_ += static_cast<char>(settings_.type);
    append_frame(output_, 0, settings_.routing_id);
    return version_at + 1;
  }
  info_.major = our_major;
  state_ = State::greeting;
  const std::string_view mechanism = mechanism_name(curve_ != nullptr);
  std::string rest(greeting_bytes - minor_at, '\0');
  rest[0] = our_minor;
  std::ranges::copy(mechanism, rest.begin() + (mechanism_at - minor_at));
  rest[mechanism_at - minor_at + mechanism_bytes] = curve_server_ ? 1 : 0;  // as-server
  output_ += rest;
  return version_at + 1;
}

std::size_t Peer::read_greeting(std::string_view bytes) {
  if (bytes.size() < greeting_bytes - minor_at) return 0;
  info_.minor = static_cast<std::uint8_t>(bytes[0]);
  std::string_view mechanism = bytes.substr(mechanism_at - minor_at, mechanism_bytes);
  mechanism = mechanism.substr(0, mechanism.find('\0'));
  if (mechanism != mechanism_name(curve_ != nullptr)) return fail(Fault::mechanism);
  state_ = State::opening;
  if (settings_.connects) open_handshake();
  return state_ == State::failed ? 0 : greeting_bytes - minor_at;
}

std::size_t Peer::read_type(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const auto type = static_cast<std::uint8_t>(bytes[0]);
  if (type > static_cast<std::uint8_t>(SocketType::xsub)) return fail(Fault::handshake);
  info_.socket_type = static_cast<SocketType>(type);
  if (!compatible(settings_.type, info_.socket_type)) return fail(Fault::incompatible);
  state_ = State::routing_id;
  return 1;
}

std::size_t Peer::read_routing_id(std::string_view bytes, PeerEvents& events) {
  const auto header = read_header(bytes);
  if (!header) return 0;
  if (header->flags != 0) return fail(Fault::handshake);
  const std::size_t total = header->header_bytes + static_cast<std::size_t>(header->body_bytes);
  if (bytes.size() < total) return 0;
  info_.routing_id = bytes.substr(header->header_bytes, total - header->header_bytes);
  state_ = State::traffic;
  events.on_ready(info_);
  return total;
}

std::size_t Peer::read_handshake(std::string_view bytes, PeerEvents& events) {
  const auto header = read_header(bytes);
  if (!header) return 0;
  if (!header->well_formed() || !header->command()) return fail(Fault::handshake);
  if (header->body_bytes > max_handshake_bytes) return fail(Fault::handshake);
  const std::size_t total = header->header_bytes + static_cast<std::size_t>(header->body_bytes);
  if (bytes.size() < total) return 0;
  const std::string_view body = bytes.substr(header->header_bytes, total - header->header_bytes);
  const auto command = parse_command(body);
  if (!command) return fail(Fault::handshake);
  if (command->name == "ERROR") return fail(Fault::refused);
  switch (state_) {
    case State::opening: curve_server_ ? on_hello(body) : on_ready(body, events); break;
    case State::initiate: on_initiate(body, events); break;
    case State::welcome: on_welcome(body); break;
    default: on_ready(body, events);
  }
  return state_ == State::failed ? 0 : total;
}

void Peer::open_handshake() {
  state_ = curve_client_ ? State::welcome : State::answer;
  if (!curve_client_) return send_command(make_command("READY", our_metadata()));
  std::string hello;
  if (const Fault fault = curve_client_->hello(hello); fault != Fault::none) {
    fail(fault);
    return;
  }
  send_command(hello);
}

void Peer::on_hello(std::string_view body) {
  std::string welcome;
  if (const Fault fault = curve_server_->on_hello(body, welcome); fault != Fault::none) {
    fail(fault);
    return;
  }
  send_command(welcome);
  state_ = State::initiate;
}

void Peer::on_welcome(std::string_view body) {
  std::string initiate;
  const Fault fault = curve_client_->on_welcome(body, our_metadata(), initiate);
  if (fault != Fault::none) {
    fail(fault);
    return;
  }
  send_command(initiate);
  state_ = State::answer;
}

void Peer::on_initiate(std::string_view body, PeerEvents& events) {
  std::string metadata;
  const Fault fault = curve_server_->on_initiate(body, metadata);
  if (fault == Fault::unknown_key) send_error("400");  // libzmq's code for a key that is not known
  info_.user = curve_server_->user();
  get_ready(fault, metadata, events);
}

void Peer::on_ready(std::string_view body, PeerEvents& events) {
  if (curve_client_) {
    std::string metadata;
    const Fault fault = curve_client_->on_ready(body, metadata);
    return get_ready(fault, metadata, events);
  }
  const auto command = parse_command(body);
  get_ready(command->name == "READY" ? Fault::none : Fault::handshake, command->data, events);
}

// The peer's part of the handshake is over; a listening peer answers.
void Peer::get_ready(Fault fault, std::string_view metadata, PeerEvents& events) {
  const auto theirs = fault == Fault::none ? parse_metadata(metadata) : std::optional<Metadata>();
  if (!theirs) {
    fail(fault == Fault::none ? Fault::handshake : fault);
    return;
  }
  info_.socket_type = theirs->socket_type;
  info_.routing_id = theirs->routing_id;
  if (!compatible(settings_.type, info_.socket_type)) {
    send_error("Invalid socket type");
    fail(Fault::incompatible);
    return;
  }
  if (!settings_.connects) {
    send_command(curve_server_ ? curve_server_->ready(our_metadata())
                               : make_command("READY", our_metadata()));
  }
  state_ = State::traffic;
  events.on_ready(info_);
}

void Peer::send_error(std::string_view reason) {
  std::string data(1, static_cast<char>(reason.size()));
  data += reason;
  send_command(make_command("ERROR", data));
}

}  // namespace canopy::zmtp
