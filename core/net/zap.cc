#include "core/net/zap.h"

#include <array>
#include <cstdint>
#include <stdexcept>

#include "core/base/log.h"

namespace canopy::net {
namespace {

constexpr const char* endpoint = "inproc://zeromq.zap.01";
constexpr std::string_view version = "1.0";
constexpr std::string_view mechanism = "CURVE";
constexpr std::size_t key_bytes = 32;
constexpr int requests_per_turn = 100;
constexpr base::Duration log_period = std::chrono::minutes(1);
constexpr std::size_t max_logged = 1024;  // keys whose refusal is remembered

// One property of a connection, as ZMTP writes it.
std::string metadata(std::string_view name, std::string_view value) {
  std::string text;
  text += static_cast<char>(name.size());
  text += name;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value.size() >> shift);
  text += value;
  return text;
}

}  // namespace

// version · request id · domain · address · routing id · mechanism · credential
std::optional<ZapRequest> parse_zap_request(std::span<const std::string_view> frames) {
  if (frames.size() != 7 || frames[0] != version || frames[5] != mechanism ||
      frames[6].size() != key_bytes) {
    return std::nullopt;
  }
  std::array<char, access::key_characters + 1> key{};
  zmq_z85_encode(key.data(), reinterpret_cast<const std::uint8_t*>(frames[6].data()), key_bytes);
  return ZapRequest{.request_id = std::string(frames[1]),
                    .address = std::string(frames[3]),
                    .public_key = key.data()};
}

ZapHandler::ZapHandler(Context& context, Loop& loop, Decide decide, Refused refused)
    : context_(context),
      loop_(loop),
      decide_(std::move(decide)),
      refused_(std::move(refused)),
      socket_(context, SocketType::router, {.send_hwm = 0, .receive_hwm = 0}) {
  if (const auto status = socket_.bind(endpoint); !status) throw std::runtime_error(status.error());
  loop_.on_readable(socket_, [this] { receive(); });
}

ZapHandler::~ZapHandler() { loop_.remove(socket_); }

void ZapHandler::receive() {
  for (int i = 0; i < requests_per_turn && socket_.receive(message_); ++i) {
    if (message_.size() < 2) continue;
    const auto request = parse_zap_request(message_.views(2));
    if (request) {
      answer(*request);
    } else {  // of no use to anybody but a socket of this process, which waits for an answer
      reply(message_.size() > 3 ? message_[3] : std::string_view(), false, {});
    }
  }
}

void ZapHandler::answer(const ZapRequest& request) {
  const auto name = decide_(request.public_key);
  if (!name) {
    refused_();
    log_refusal(request);
  }
  reply(request.request_id, name.has_value(), name.value_or(""));
}

// The frames that lead back (routing id, delimiter) are those of the request.
void ZapHandler::reply(std::string_view request_id, bool admitted, std::string_view name) {
  const std::string number = admitted ? std::to_string(++context_.let_in_) : std::string();
  const std::string properties = admitted ? metadata(connection_property, number) : std::string();
  socket_.send({message_[0], message_[1], version, request_id, admitted ? "200" : "400",
                admitted ? "OK" : "unknown key", name, properties});
}

void ZapHandler::log_refusal(const ZapRequest& request) {
  const base::TimePoint now = loop_.now();
  if (logged_.size() >= max_logged) {
    std::erase_if(logged_, [now](const auto& each) { return now - each.second >= log_period; });
  }
  const auto known = logged_.find(request.public_key);
  if (known != logged_.end() && now - known->second < log_period) return;
  if (known == logged_.end() && logged_.size() >= max_logged) return;  // a flood: counted only
  logged_[request.public_key] = now;
  base::log::warn("security", "unknown key refused",
                  {{"public_key", request.public_key}, {"address", request.address}});
}

}  // namespace canopy::net
