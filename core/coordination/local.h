// The coordinator that the broker serves (DESIGN: "local"), as seen by a shard or
// proxy: a DEALER to the broker's ROUTER.
//
// It pings each second, or each third of a shorter lease. Whatever is lost on the way, a broker
// that restarted included, is noticed within about a second and everything is said again:
// - leaderships are kept with their epochs, unless a higher epoch was granted meanwhile;
// - keys that a watcher knows and a restarted broker does not (yet) are reported as deleted only
//   when the longest lease has passed without them coming back (core/cluster/lease.h);
// - a compare_and_set that was not answered is repeated, also to a broker that restarted meanwhile,
//   and applied once. One that the broker cannot write down stays open.
// While the broker is away nothing is lost and nobody is told: leaderships stand, for nobody else
// can be elected; connected() says so. A candidate that lost a leadership stays in line for it.
#pragma once

#include <memory>
#include <string>

#include "core/coordination/coordinator.h"
#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::coordination {

// `candidate` is the process's name in the cluster. Of two processes of one name the newer one, by
// generation, supersedes the older at once, so that a restarted process need not wait for its
// predecessor's lease. The older one loses its leaderships and is registered again only when the
// newer is gone. With `identity` (base::DirectoryLock) the name is held exclusively instead:
// another process of this name is refused until this one resigns or its lease ends.
//
// `keys` are those of the cluster, by which broker and process know each other; null: in the clear.
//
// Callbacks run from the loop, never from within a call; they may call the coordinator, and must
// not destroy it.
std::unique_ptr<CampaignCoordinator> make_local_coordinator(net::Context& context, net::Loop& loop,
                                                            const std::string& broker_endpoint,
                                                            const std::string& candidate,
                                                            const access::KeyPair* keys = nullptr,
                                                            const std::string& identity = {});

}  // namespace canopy::coordination
