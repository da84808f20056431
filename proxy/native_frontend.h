// The face that Canopy's own clients see: requests ROUTER and streams XPUB, on two consecutive
// ports. Belongs to the node's loop.
#pragma once

#include <memory>
#include <string>

#include "core/base/log.h"
#include "core/config/cluster.h"
#include "core/net/loop.h"
#include "core/net/outbox.h"
#include "core/wire/native.h"
#include "proxy/clone_frontend.h"
#include "proxy/fetches.h"
#include "proxy/frontend.h"
#include "proxy/streams.h"
#include "proxy/topics.h"
#include "proxy/upstream.h"

namespace canopy::proxy {

class NativeFrontend final : public Frontend {
 public:
  NativeFrontend(const config::Endpoint& first, const config::Proxy& proxy, net::Context& context,
                 net::Loop& loop, Metrics& metrics, Guard& guard, const Upstream& upstream,
                 Backend& backend);

  // Streams begin anew, under incarnations of this generation.
  void begin_generation(std::uint32_t generation);
  // An update of a mirror, at once: from here on it is part of what fetches are cut from.
  void append(const keyspace::UpdatePtr& update, std::size_t shard) {
    streams_.append(update, shard);
  }
  // What clients know of the partition means nothing any more.
  void renew(std::size_t partition) { streams_.renew(partition); }
  // Whether there is something to flush beyond updates: new subscribers wait to be answered.
  bool pending() const { return streams_.pending(); }
  // What streams have gathered and not yet sent.
  std::size_t gathered_bytes() const { return streams_.gathered_bytes(); }
  // Clients connected, and updates that such clients have missed so far.
  std::size_t clients() const;
  std::uint64_t missed() const { return missed_; }
  // The shard's answer to a client's request.
  void answer(const wire::Answer& answer);
  // Tells every client to be elsewhere within this time; refuses further requests.
  void drain(base::Duration within);

  void look() override;
  void publish(std::span<const Stamped> updates) override;
  std::optional<base::Duration> serve(bool full) override;
  void second() override;
  bool catching_up() const override { return fetches_.size() > 0; }
  void announce(coordination::ProxyMember& member, const std::string& advertise) const override;
  void report() override;

 private:
  void read_monitor(Role role) override;
  void forget_ended();
  bool begin(std::string_view topic, const net::Message& message);
  void read_requests();
  void take(PeerId peer, wire::WriteRequest request);
  void take(PeerId peer, wire::native::Fetch fetch);
  void take(PeerId peer, const wire::native::Credit& credit);
  void count_missed(const wire::native::Subscription& subscription, const wire::native::Gap& gap);
  void refuse(PeerId peer, std::uint64_t request, wire::Fault fault, std::string_view text);
  void reply(PeerId peer, std::string frame);
  Fetches::Delivery deliver(PeerId peer, std::string frame);
  bool send(Sending sending);

  net::Loop& loop_;
  Metrics& metrics_;
  Guard& guard_;
  const Upstream& upstream_;
  Backend& backend_;
  net::Message message_;
  std::unique_ptr<Topics> topics_;
  Streams streams_;
  Fetches fetches_;
  net::Outbox<PeerId> replies_;  // that their clients' queues have no room for
  Streams::Send send_;
  bool nodrop_ = false;  // as the streams' socket is set
  bool draining_ = false;
  std::uint64_t missed_ = 0;
  metrics::Counter& writes_received_;
  metrics::Counter& delivered_;
  metrics::Counter& delivered_bytes_;
  metrics::Counter& frames_;
  metrics::Counter& compressed_;
  metrics::Counter& lost_answers_;
  metrics::Gauge& queued_answers_;
  metrics::Gauge& waiting_;
  base::log::RateLimited log_;
};

}  // namespace canopy::proxy
