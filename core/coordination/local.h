// The coordinator that the broker serves (DESIGN: "local"), as seen by a shard or
// proxy: a DEALER of our own engine (core/net/connector.h) to the broker's ROUTER.
//
// It pings each second, or each third of a shorter lease. Whatever is lost on the way, a broker
// that restarted included, is noticed within about a second and everything is said again:
// - keys that a watcher knows and a restarted broker does not (yet) are reported as deleted only
//   when the longest lease has passed without them coming back (core/cluster/lease.h);
// - a compare_and_set that was not answered is repeated, also to a broker that restarted meanwhile,
//   and applied once. One that the broker cannot write down stays open.
// While the broker is away nothing is lost and nobody is told; connected() says so.
#pragma once

#include <memory>
#include <string>

#include "core/access/keys.h"
#include "core/coordination/coordinator.h"
#include "core/net/loop.h"

namespace canopy::coordination {

// `name` is that of the process in the cluster. Of two processes of one name the newer one, by
// generation, supersedes the older at once, so that a restarted process need not wait for its
// predecessor's lease. The older one is registered again only when the newer is gone. With
// `identity` (base::DirectoryLock) the name is held exclusively instead: another process of this
// name is refused until this one resigns or its lease ends.
//
// `keys` are those of the cluster, by which broker and process know each other; null: in the clear.
//
// Callbacks run from the loop, never from within a call; they may call the coordinator, and must
// not destroy it.
std::unique_ptr<Coordinator> make_local_coordinator(net::Loop& loop,
                                                    const std::string& broker_endpoint,
                                                    const std::string& name,
                                                    const access::KeyPair* keys = nullptr,
                                                    const std::string& identity = {});

}  // namespace canopy::coordination
