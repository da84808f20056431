#include "core/zmtp/peer.h"

#include <algorithm>

namespace canopy::zmtp {
namespace {

constexpr std::size_t signature_bytes = 10;
constexpr std::size_t greeting_bytes = 64;
constexpr std::size_t version_at = signature_bytes;
constexpr std::size_t minor_at = version_at + 1;
constexpr std::size_t mechanism_at = minor_at + 1;
constexpr std::size_t mechanism_bytes = 20;
constexpr char our_major = 3;
constexpr char our_minor = 1;
// Before the handshake is over a frame holds a few properties, and no user's data.
constexpr std::size_t max_handshake_bytes = 4096;

std::string_view mechanism_name(bool curve) { return curve ? "CURVE" : "NULL"; }

}  // namespace

Peer::Peer(const Settings& settings) : settings_(settings) {
  if (settings_.curve != nullptr) curve_.emplace(*settings_.curve);
  // Old peers read ten bytes and the version, and trip over more: the rest follows once theirs is
  // known.
  output_.append("\xff\0\0\0\0\0\0\0\1\x7f", signature_bytes);
  output_ += our_major;
}

Fault Peer::receive(std::string_view bytes, PeerEvents& events) {
  if (state_ == State::failed) return fault_;
  const bool direct = waiting_.empty();
  if (!direct) waiting_ += bytes;
  std::string_view left = direct ? bytes : std::string_view(waiting_);
  while (state_ != State::failed) {
    const std::size_t consumed = read(left, events);
    if (consumed == 0) break;
    left.remove_prefix(consumed);
  }
  if (direct) {
    waiting_.assign(left);
  } else {
    waiting_.erase(0, waiting_.size() - left.size());
  }
  return fault_;
}

std::size_t Peer::read(std::string_view bytes, PeerEvents& events) {
  switch (state_) {
    case State::signature: return read_signature(bytes);
    case State::greeting: return read_greeting(bytes);
    case State::type: return read_type(bytes);
    case State::routing_id: return read_routing_id(bytes, events);
    case State::hello:
    case State::initiate: return read_handshake(bytes, events);
    case State::traffic: return read_traffic(bytes, events);
    case State::failed: break;
  }
  return 0;
}

std::size_t Peer::fail(Fault fault) {
  state_ = State::failed;
  fault_ = fault;
  return 0;
}

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
    if (curve_) return fail(Fault::mechanism);
    info_.major = 2;
    state_ = State::type;
    output_ += static_cast<char>(settings_.type);
    append_frame(output_, 0, {});  // our routing id: none
    return version_at + 1;
  }
  info_.major = our_major;
  state_ = State::greeting;
  const std::string_view mechanism = mechanism_name(curve_.has_value());
  std::string rest(greeting_bytes - minor_at, '\0');
  rest[0] = our_minor;
  std::ranges::copy(mechanism, rest.begin() + (mechanism_at - minor_at));
  rest[mechanism_at - minor_at + mechanism_bytes] = curve_ ? 1 : 0;  // as-server
  output_ += rest;
  return version_at + 1;
}

std::size_t Peer::read_greeting(std::string_view bytes) {
  if (bytes.size() < greeting_bytes - minor_at) return 0;
  info_.minor = static_cast<std::uint8_t>(bytes[0]);
  std::string_view mechanism = bytes.substr(mechanism_at - minor_at, mechanism_bytes);
  mechanism = mechanism.substr(0, mechanism.find('\0'));
  if (mechanism != mechanism_name(curve_.has_value())) return fail(Fault::mechanism);
  state_ = State::hello;
  return greeting_bytes - minor_at;
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
  if (curve_) {
    on_curve(body, events);
  } else {
    on_null_ready(body, events);
  }
  return state_ == State::failed ? 0 : total;
}

void Peer::on_null_ready(std::string_view body, PeerEvents& events) {
  const auto command = parse_command(body);
  const auto metadata =
      command->name == "READY" ? parse_metadata(command->data) : std::optional<Metadata>();
  if (!metadata) {
    fail(Fault::handshake);
    return;
  }
  get_ready(*metadata, make_command("READY", make_metadata(settings_.type)), events);
}

void Peer::on_curve(std::string_view body, PeerEvents& events) {
  if (state_ == State::hello) {
    std::string welcome;
    if (const Fault fault = curve_->on_hello(body, welcome); fault != Fault::none) {
      fail(fault);
      return;
    }
    append_frame(output_, flag_command, welcome);
    state_ = State::initiate;
    return;
  }
  std::string bytes;
  const Fault fault = curve_->on_initiate(body, bytes);
  if (fault == Fault::unknown_key) send_error("400");  // libzmq's code for a key that is not known
  const auto metadata = fault == Fault::none ? parse_metadata(bytes) : std::optional<Metadata>();
  if (!metadata) {
    fail(fault == Fault::none ? Fault::handshake : fault);
    return;
  }
  info_.user = curve_->user();
  get_ready(*metadata, curve_->ready(make_metadata(settings_.type)), events);
}

void Peer::get_ready(const Metadata& metadata, std::string_view answer, PeerEvents& events) {
  info_.socket_type = metadata.socket_type;
  info_.routing_id = metadata.routing_id;
  if (!compatible(settings_.type, info_.socket_type)) {
    send_error("Invalid socket type");
    fail(Fault::incompatible);
    return;
  }
  append_frame(output_, flag_command, answer);
  state_ = State::traffic;
  events.on_ready(info_);
}

void Peer::send_error(std::string_view reason) {
  std::string data(1, static_cast<char>(reason.size()));
  data += reason;
  append_frame(output_, flag_command, make_command("ERROR", data));
}

// Whether a message of `parts` frames, `bytes` in all before this one, may have this one too.
bool Peer::within_limits(const FrameHeader& header, std::size_t parts, std::size_t bytes) {
  const Limits& limits = settings_.limits;
  if (!header.well_formed()) {
    fail(Fault::malformed);
  } else if (header.body_bytes > limits.frame_bytes) {
    fail(Fault::frame_too_large);
  } else if (bytes + header.body_bytes > limits.message_bytes) {
    fail(Fault::message_too_large);
  } else if (parts >= limits.parts) {
    fail(Fault::too_many_parts);
  } else {
    return true;
  }
  return false;
}

// One command, or one whole message, whose parts stay where they are in `bytes`.
std::size_t Peer::read_traffic(std::string_view bytes, PeerEvents& events) {
  parts_.clear();
  std::size_t at = 0;
  std::size_t message_bytes = 0;
  for (;;) {
    const auto header = read_header(bytes.substr(at));
    if (!header) return 0;
    if (!within_limits(*header, curve_ ? opened_.size() : parts_.size(),
                       curve_ ? opened_bytes_ : message_bytes)) {
      return 0;
    }
    const auto body_bytes = static_cast<std::size_t>(header->body_bytes);
    if (bytes.size() - at < header->header_bytes + body_bytes) return 0;
    const std::string_view body = bytes.substr(at + header->header_bytes, body_bytes);
    at += header->header_bytes + body_bytes;
    if (curve_) return read_sealed(body, at, events);
    if (header->command()) {
      if (!parts_.empty() || info_.major < our_major) return fail(Fault::malformed);
      on_command(body, events);
      return state_ == State::failed ? 0 : at;
    }
    parts_.push_back(body);
    message_bytes += body.size();
    if (!header->more()) break;
  }
  on_message(parts_, events);
  return at;
}

// `body` is that of one frame, and `consumed` the frame's size.
std::size_t Peer::read_sealed(std::string_view body, std::size_t consumed, PeerEvents& events) {
  CurveSession::Opened opened;
  if (const Fault fault = curve_->open(body, opened); fault != Fault::none) return fail(fault);
  const bool more = (opened.flags & curve_flag_more) != 0;
  if ((opened.flags & curve_flag_command) != 0) {
    if (more || !opened_.empty()) return fail(Fault::malformed);
    on_command(opened.body, events);
    return state_ == State::failed ? 0 : consumed;
  }
  opened_bytes_ += opened.body.size();
  opened_.push_back(std::move(opened.body));
  if (more) return consumed;
  parts_.assign(opened_.begin(), opened_.end());
  on_message(parts_, events);
  opened_.clear();
  opened_bytes_ = 0;
  return consumed;
}

void Peer::on_command(std::string_view body, PeerEvents& events) {
  const auto command = parse_command(body);
  if (!command) {
    fail(Fault::malformed);
  } else if (command->name == "PING") {
    constexpr std::size_t time_to_live_bytes = 2;
    if (command->data.size() < time_to_live_bytes ||
        command->data.size() > time_to_live_bytes + max_ping_context_bytes) {
      fail(Fault::malformed);
      return;
    }
    append_command(output_, "PONG", command->data.substr(time_to_live_bytes));
  } else if (command->name == "ERROR") {
    fail(Fault::refused);
  } else if (publishes(settings_.type) &&
             (command->name == "SUBSCRIBE" || command->name == "CANCEL")) {
    events.on_subscription(command->data, command->name == "SUBSCRIBE");
  }
  // Other commands are of later versions of ZMTP: ignored, as RFC 37 asks.
}

void Peer::on_message(std::span<const std::string_view> parts, PeerEvents& events) {
  if (!publishes(settings_.type)) return events.on_message(parts);
  const std::string_view first = parts.front();
  // What else an XSUB sends upstream is nobody's here.
  if (parts.size() != 1 || first.empty() || (first[0] != 0 && first[0] != 1)) return;
  events.on_subscription(first.substr(1), first[0] == 1);
}

void Peer::append_message(std::string& out, std::span<const std::string_view> parts) {
  if (!curve_) return zmtp::append_message(out, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint8_t flags = i + 1 < parts.size() ? curve_flag_more : 0;
    append_frame(out, 0, curve_->seal(flags, parts[i]));
  }
}

void Peer::append_encoded(std::string& out, std::string_view messages) {
  if (!curve_) {
    out += messages;
    return;
  }
  while (const auto header = read_header(messages)) {
    const std::string_view body =
        messages.substr(header->header_bytes, static_cast<std::size_t>(header->body_bytes));
    append_frame(out, 0, curve_->seal(header->more() ? curve_flag_more : 0, body));
    messages.remove_prefix(header->header_bytes + body.size());
  }
}

void Peer::append_command(std::string& out, std::string_view name, std::string_view data) {
  const std::string body = make_command(name, data);
  if (curve_) {
    append_frame(out, 0, curve_->seal(curve_flag_command, body));
  } else {
    append_frame(out, flag_command, body);
  }
}

void Peer::append_subscription(std::string& out, std::string_view topic, bool begins) {
  if (info_.major >= our_major && info_.minor >= 1) {
    return append_command(out, begins ? "SUBSCRIBE" : "CANCEL", topic);
  }
  std::string message(1, begins ? '\1' : '\0');
  message += topic;
  const std::string_view part = message;
  append_message(out, std::span(&part, 1));
}

}  // namespace canopy::zmtp
