// Decides when a snapshot request of a Clone client may be answered, so that its subscription is
// live before its snapshot is cut. Pure: time is an argument. Not thread-safe.
//
// The request and the subscription come over two connections that nothing ties together but the
// peer's address, and either may win the race. A request is therefore answered once a covering
// subscription from its address has arrived that no earlier request has used, a moment (settle) has
// passed, and no client that is just joining still lacks its subscription, for many clients may
// share an address. One that subscribes to nothing new (it asks again, or only wants a snapshot) is
// answered after `grace`; whatever happens, each is answered after `hold`.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "proxy/mirror_lease.h"

namespace canopy::proxy {

class JoinGate {
 public:
  static constexpr base::Duration settle = std::chrono::milliseconds(10);
  static constexpr base::Duration grace = std::chrono::milliseconds(500);
  // How long a connection counts as just joining.
  static constexpr base::Duration joining = std::chrono::seconds(2);
  // Also what a client waits that is half in at a full proxy: its subscription is still at the
  // door.
  static constexpr base::Duration hold = std::chrono::seconds(10);
  // A subscription that no request used in this time belongs to a client that wants no snapshot.
  static constexpr base::Duration keep = std::chrono::seconds(10);
  static constexpr std::size_t max_subscriptions = 4096;  // remembered per address
  static constexpr std::size_t max_addresses = 4096;
  static constexpr std::size_t max_requests = 10'000;

  struct Request {
    std::string peer{};  // routing id
    std::string prefix{};
    base::TimePoint since{};
    MirrorLease lease{};  // of what it asks for
  };

  // What else is known of the clients that are joining.
  struct Surroundings {
    bool subscriptions_pending = false;
    bool full = false;
  };

  void on_subscription(const std::string& address, std::string_view topic, base::TimePoint now);
  // A later request of the same peer replaces one that still waits. False when too many wait.
  bool on_request(const std::string& address, std::string peer, std::string prefix,
                  base::TimePoint now, MirrorLease lease = {});
  // The requests that may be answered now, oldest first.
  std::vector<Request> take_released(base::TimePoint now, Surroundings surroundings);

  bool empty() const { return waiting_.empty(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Subscription {
    std::string topic{};
    base::TimePoint since{};
  };
  struct Waiting {
    Request request{};
    std::string address{};
    bool subscribed = false;  // a subscription has been set aside for it
  };

  void pair(Waiting& waiting);
  void forget_old(base::TimePoint now);

  std::map<std::string, std::deque<Subscription>> unused_;  // by address, oldest first
  std::deque<Waiting> waiting_;                             // oldest first
};

}  // namespace canopy::proxy
