// The coordinator that keeps everything in etcd (3.4 or later), by its v3 JSON gateway: no process
// of Canopy's own stands between.
//
//   canopy/CLUSTER/generations      the highest generation that was granted
//   canopy/CLUSTER/names/NAME       which process holds the name, by its lease
//   canopy/CLUSTER/directory/KEY    what was announced, by the lease, and what was compared and set
//
// The lease says that the process lives, and nothing else; what must be agreed on is compared and
// set. Watches are hints: each prefix is listed again every 30 s, and whenever its watch ends.
// While etcd is away or has no leader, what was told stands, deadline() passes, and all is asked
// again after a pause of up to two seconds. The next endpoint is asked when one does not answer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/coordination/coordinator.h"
#include "core/net/loop.h"

namespace canopy::coordination {

struct EtcdSettings {
  std::vector<std::string> endpoints{};  // "http://HOST:PORT" or "https://HOST:PORT"; not empty
  std::string prefix{};                  // "canopy/CLUSTER/"
  // In whole seconds, rounded up, an hour at most. etcd may grant a longer one, which then counts.
  base::Duration lease = std::chrono::seconds(3);
  // A renewal of the lease is given up after a quarter of the lease already.
  base::Duration connect_timeout = std::chrono::seconds(1);
  base::Duration request_timeout = std::chrono::seconds(2);
  // For https:// in PEM. No authority: what the system trusts. No certificate: none is shown.
  std::string ca_file{};
  std::string cert_file{}, key_file{};
  // No user: etcd runs without. The file is read for each new token.
  std::string user{};
  std::string password_file{};
};

// `name` is the process's in the cluster; one process holds it. Of two with the same `identity`
// (base::DirectoryLock; or both with none) the newer one, by generation, takes it over at once,
// and what the older one announced is gone. Any other process is refused the name until the
// holder resigns or its lease ends. Only the holder's keys are in the directory.
//
// A compare_and_set that etcd did not answer is known by its value: two processes must not set the
// same one. Values of more than 1 MiB, which etcd does not take, are neither announced nor set.
//
// resign() waits for etcd for up to 300 ms. The process is not registered again after it.
//
// Callbacks run from the loop, never from within a call; they may call the coordinator, and must
// not destroy it.
std::unique_ptr<Coordinator> make_etcd_coordinator(net::Loop& loop, const EtcdSettings& settings,
                                                   const std::string& name,
                                                   const std::string& identity);

}  // namespace canopy::coordination
