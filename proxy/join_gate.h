// Decides when a snapshot request of a Clone client may be answered, so that its subscription is
// live before its snapshot is cut. Pure: time is an argument. Not thread-safe.
//
// The request and the subscription come over two connections that nothing ties together but the
// peer's address (and with security its name), and either may arrive first. The gate pairs the two
// connections: of those from the same address it takes the two that were accepted closest to each
// other. A request is released `settle` after a subscription of its pair covers it, and after
// `grace` if none does, because its client only wants a snapshot or its subscription is late.
//
// Clients that share an address may be paired crosswise. So while others of that address are
// joining too, a covered request waits for them, for `crowd` at most; by then the subscriptions of
// all of them have arrived, whoever was paired with whom. Clients of other addresses delay nobody.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "proxy/mirror_lease.h"
#include "proxy/peers.h"

namespace canopy::proxy {

class JoinGate {
 public:
  static constexpr base::Duration settle = std::chrono::milliseconds(10);
  static constexpr base::Duration crowd = std::chrono::milliseconds(250);
  static constexpr base::Duration grace = std::chrono::milliseconds(500);
  // How far apart the two connections of one client are accepted at most, and for how long a
  // connection counts as just joining.
  static constexpr base::Duration joining = std::chrono::seconds(2);
  // What a client waits whose updates connection a full proxy has not accepted yet.
  static constexpr base::Duration hold = std::chrono::seconds(10);
  static constexpr std::size_t max_topics = 64;  // remembered per connection

  // A connection that subscribes or asks.
  struct Client {
    PeerId connection = 0;
    base::TimePoint accepted{};
    std::string address{};
    std::string name{};  // with security
  };
  struct Request {
    PeerId peer = 0;
    std::string prefix{};
    base::TimePoint since{};
    MirrorLease lease{};  // of what it asks for
  };
  // What else is known of the clients that are joining.
  struct Surroundings {
    std::set<std::string> silent{};  // addresses of fresh updates connections without subscription
    bool full = false;               // the proxy is
  };

  void on_subscription(const Client& client, std::string_view topic, base::TimePoint now);
  void on_request(const Client& client, std::string prefix, base::TimePoint now,
                  MirrorLease lease = {});
  // A connection, of either kind, has ended, and what it asked for with it.
  void end(PeerId connection);
  // The requests that may be answered now, oldest first.
  std::vector<Request> take_released(base::TimePoint now, const Surroundings& surroundings);

  bool empty() const { return waiting_.empty(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  using Place = std::pair<std::string, std::string>;  // address and name
  struct Subscriber {
    Place place{};
    base::TimePoint accepted{};
    std::vector<std::string> topics{};
    PeerId requester = 0;  // its pair; 0: none yet
    base::Duration distance{};
    bool settled = false;  // a request of its pair was released
  };
  struct Waiting {
    Request request{};
    Place place{};
    base::TimePoint accepted{};
    std::optional<base::TimePoint> covered{};
  };

  void pair(PeerId requester, base::Duration distance, PeerId subscriber, base::TimePoint now);
  void find_subscriber(const Waiting& waiting, bool may_take_over, base::TimePoint now);
  void uncover(PeerId requester);
  bool may_go(const Waiting& waiting, base::TimePoint now, const Surroundings& surroundings,
              const std::set<Place>& uncovered) const;

  std::map<PeerId, Subscriber> subscribers_;
  std::map<PeerId, PeerId> pairs_;          // requester, subscriber
  std::map<Place, base::TimePoint> heard_;  // when somebody subscribed there
  std::deque<Waiting> waiting_;             // oldest first
};

}  // namespace canopy::proxy
