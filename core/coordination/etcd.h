// The coordinator that keeps everything in etcd (3.4 or later), by its v3 JSON gateway: no process
// of Canopy's own stands between.
//
//   canopy/CLUSTER/generations      the highest generation that was granted
//   canopy/CLUSTER/names/NAME       which process holds the name, by its lease
//   canopy/CLUSTER/directory/KEY    what was announced, by the lease, and what was compared and set
//
// The lease shows that the process lives, and nothing else; agreement is by compare-and-set.
// Watches are hints: each prefix is listed again every 30 s, and whenever its watch ends. While
// etcd is away or has no leader, reported values stand, deadline() passes, and every request is
// repeated after a pause of up to two seconds. When an endpoint does not answer, the next one is
// used.
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
  // Rounded up to whole seconds, an hour at most. etcd may grant a longer one, which then counts.
  base::Duration lease = std::chrono::seconds(3);
  // A renewal of the lease times out after a quarter of the lease.
  base::Duration connect_timeout = std::chrono::seconds(1);
  base::Duration request_timeout = std::chrono::seconds(2);
  // PEM, for https://. Without an authority: the system's. Without a certificate: none is sent.
  std::string ca_file{};
  std::string cert_file{}, key_file{};
  // Empty: etcd runs without users. The password file is read for each new token.
  std::string user{};
  std::string password_file{};
};

// `name` is the process's name in the cluster; one process holds it. Of two processes with the same
// `identity` (base::DirectoryLock; or both with none) the newer one, by generation, takes the name
// over at once, and the announcements of the older one are deleted. Any other process is refused
// the name until the holder resigns or its lease ends. Only the holder's keys are in the directory.
//
// The coordinator recognises an unanswered compare_and_set by its value: two processes must not set
// the same value. Values of more than 1 MiB, which etcd refuses, are neither announced nor set.
//
// resign() waits for etcd for up to 300 ms. The process is not registered again after it.
//
// Callbacks run from the loop, never from within a call; they may call the coordinator, and must
// not destroy it.
std::unique_ptr<Coordinator> make_etcd_coordinator(net::Loop& loop, const EtcdSettings& settings,
                                                   const std::string& name,
                                                   const std::string& identity);

}  // namespace canopy::coordination
