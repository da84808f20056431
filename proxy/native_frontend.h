// The frontend of native clients: one connection for each client. Decodes requests, checks
// permissions and bounds, and replies; Watches, Streams and CatchUps do the rest. Belongs to the
// loop's thread. Format: docs/reference/protocol.md, core/wire/native.h.
//
// The proxy does not read a connection whose queue is full of replies until the queue has drained.
// All requests and watches of a connection end with it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/wire/native.h"
#include "proxy/catch_ups.h"
#include "proxy/frontend.h"
#include "proxy/metrics.h"
#include "proxy/streams.h"
#include "proxy/watches.h"

namespace canopy::proxy {

class NativeFrontend final : public Frontend,
                             private net::ConnectionEvents,
                             private CatchUps::Owner {
 public:
  // Lists and gets under way on one connection.
  static constexpr std::size_t max_requests = 1'024;
  // Queued bytes at which a connection gets no further chunk; at most a quarter of
  // `client_queue_bytes`.
  static constexpr std::size_t full_bytes = std::size_t{256} << 10;
  NativeFrontend(const config::Proxy& proxy, Metrics& metrics, Backend& backend);

  std::vector<Opening> openings() override;
  void announce(wire::ProxyMember& member,
                const std::vector<config::Endpoint>& endpoints) const override;
  void begin_generation(std::uint32_t generation) override;
  void apply(const Stamped& stamped) override { streams_.append(stamped.update, stamped.shard); }
  std::size_t gathered() const override { return streams_.gathered(); }
  std::size_t gathered_bytes() const override { return streams_.gathered_bytes(); }
  bool flush(base::TimePoint now) override { return streams_.flush(now); }
  std::optional<base::Duration> serve(base::TimePoint now) override;
  void answer(const wire::Answer& answer) override;
  void renew(std::size_t partition) override { streams_.renew(partition); }
  void divide(std::size_t whole, std::size_t part, keyspace::Revision known) override {
    streams_.divide(whole, part, known, backend_.now());
  }
  void drain(base::Duration within) override;
  std::size_t leaving() const override { return draining_ ? clients_.size() : 0; }
  wire::native::ClientInfo describe(const net::Connection& connection) const override;
  std::uint64_t missed() const override { return watches_.missed(); }
  void report() override;

 private:
  void on_ready(net::Connection& connection) override;
  void on_message(net::Connection& connection, std::span<const std::string_view> parts) override;
  void on_drained(net::Connection& connection) override;
  void on_closed(net::Connection& connection, std::string_view reason) override;

  void on_cut(net::Connection& connection, std::uint64_t number) override;
  void on_sent(net::Connection& connection, CatchUps::Kind kind, std::uint64_t number,
               std::vector<Known> has, base::Duration took) override;
  void on_unavailable(net::Connection& connection, CatchUps::Kind kind,
                      std::uint64_t number) override;
  void on_resync(bool changes) override;

  void on_request(NativeClient& client, wire::native::Announce& announce);
  void on_request(NativeClient& client, wire::WriteRequest& request);
  void on_request(NativeClient& client, wire::native::Watch& watch);
  void on_request(NativeClient& client, const wire::native::Unwatch& unwatch) {
    watches_.close(client, unwatch.request);
  }
  void on_request(NativeClient& client, wire::native::Get& get);
  void on_request(NativeClient& client, wire::native::List& list);
  void on_request(NativeClient& client, const wire::native::Ping& ping) {
    reply(client.connection, wire::native::encode(wire::native::Pong{.request = ping.request}));
  }
  void on_request(NativeClient& client, const wire::native::Clients& clients);
  void on_request(NativeClient& client, const wire::native::Kick& kick);

  struct Asked {
    std::uint64_t number = 0;
    wire::native::Kind kind{};
  };
  bool may_begin(NativeClient& client, Asked asked, const std::string& prefix);
  void open(NativeClient& client, Asked asked, CatchUps::Request request);
  void refuse(NativeClient& client, Asked asked, wire::Fault fault, std::string_view text);
  void reply(net::Connection& connection, std::string_view frame);
  void count_request(const char* result, double count = 1);

  config::Proxy config_;
  Metrics& metrics_;
  Backend& backend_;
  CatchUps::Settings catch_up_settings_;
  Streams streams_;
  CatchUps catch_ups_;
  Watches watches_;
  std::unordered_map<std::uint64_t, NativeClient*> clients_;  // by connection, after its handshake
  bool draining_ = false;
  metrics::Counter& writes_received_;
  metrics::Counter& plain_frames_;
  metrics::Counter& compressed_frames_;
  metrics::Gauge& waiting_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
