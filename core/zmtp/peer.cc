#include "core/zmtp/peer.h"

#include <utility>

namespace canopy::zmtp {
namespace {

constexpr std::string_view signature("\xff\0\0\0\0\0\0\0\1\x7f", 10);

}  // namespace

Peer::Peer(Settings settings) : settings_(std::move(settings)) {
  if (settings_.curve != nullptr) {
    curve_ = &curve_server_.emplace(*settings_.curve);
  } else if (settings_.curve_client != nullptr) {
    curve_ = &curve_client_.emplace(*settings_.curve_client);
  }
  // Old peers read ten bytes and the version, and trip over more: the rest follows once theirs is
  // known.
  output_ += signature;
  output_ += static_cast<char>(our_major);
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
    case State::opening:
    case State::initiate:
    case State::welcome:
    case State::answer: return read_handshake(bytes, events);
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
    if (!within_limits(*header, curve_ != nullptr ? opened_.size() : parts_.size(),
                       curve_ != nullptr ? opened_bytes_ : message_bytes)) {
      return 0;
    }
    const auto body_bytes = static_cast<std::size_t>(header->body_bytes);
    if (bytes.size() - at < header->header_bytes + body_bytes) return 0;
    const std::string_view body = bytes.substr(at + header->header_bytes, body_bytes);
    at += header->header_bytes + body_bytes;
    if (curve_ != nullptr) return read_sealed(body, at, events);
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
  if (curve_ == nullptr) return zmtp::append_message(out, parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint8_t flags = i + 1 < parts.size() ? curve_flag_more : 0;
    append_frame(out, 0, curve_->seal(flags, parts[i]));
  }
}

void Peer::append_encoded(std::string& out, std::string_view messages) {
  if (curve_ == nullptr) {
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
  if (curve_ != nullptr) {
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
