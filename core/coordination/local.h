// The coordinator that the broker serves (DESIGN: "local"), as seen by a shard or
// proxy: a DEALER of our own engine (core/net/connector.h) to the broker's ROUTER.
//
// It pings each second, or each third of a shorter lease. So it notices a lost message, or a
// restart of the broker, within about a second, and then registers and sends everything again:
// - keys that a watcher knows and a restarted broker does not (yet) know are reported as deleted
// only
//   after the longest lease has passed without them (core/cluster/lease.h);
// - an unanswered compare_and_set is repeated, also to a restarted broker, and applied once. One
//   that the broker cannot write stays open.
// While the broker is away nothing is lost and no event comes; connected() is false.
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
// `keys` are those of the cluster, which authenticate broker and process; null: no encryption.
//
// Callbacks run from the loop, never from within a call; they may call the coordinator, and must
// not destroy it.
std::unique_ptr<Coordinator> make_local_coordinator(net::Loop& loop,
                                                    const std::string& broker_endpoint,
                                                    const std::string& name,
                                                    const access::KeyPair* keys = nullptr,
                                                    const std::string& identity = {});

}  // namespace canopy::coordination
