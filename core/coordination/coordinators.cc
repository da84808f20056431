#include "core/coordination/coordinators.h"

#include "core/coordination/etcd.h"
#include "core/coordination/local.h"

namespace canopy::coordination {

std::unique_ptr<Coordinator> make_coordinator(const config::Cluster& cluster, net::Loop& loop,
                                              const std::string& name,
                                              const std::string& identity) {
  if (const auto& etcd = cluster.coordination.etcd) {
    return make_etcd_coordinator(loop,
                                 {.endpoints = etcd->endpoints,
                                  .prefix = etcd->prefix + "/",
                                  .lease = cluster.coordination.lease,
                                  .ca_file = etcd->ca_file,
                                  .cert_file = etcd->cert_file,
                                  .key_file = etcd->key_file,
                                  .user = etcd->user,
                                  .password_file = etcd->password_file},
                                 name, identity);
  }
  return make_local_coordinator(loop, cluster.broker.directory(), name, cluster.keys(), identity);
}

}  // namespace canopy::coordination
