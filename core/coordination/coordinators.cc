#include "core/coordination/coordinators.h"

#include <utility>

#include "core/coordination/etcd.h"
#include "core/coordination/local.h"

namespace canopy::coordination {
namespace {

// Records and announcements go to etcd. Vitals, which are sent each second, go to the broker.
class EtcdAndBroker final : public Coordinator {
 public:
  EtcdAndBroker(std::unique_ptr<Coordinator> etcd, std::unique_ptr<Coordinator> broker)
      : etcd_(std::move(etcd)), broker_(std::move(broker)) {}

  std::string service() const override { return etcd_->service(); }
  void on_generation(Generation granted) override { etcd_->on_generation(std::move(granted)); }
  void report_known(std::function<std::uint32_t()> known) override {
    etcd_->report_known(std::move(known));
  }
  void announce(const std::string& key, const std::string& value) override {
    (key.starts_with(vitals_prefix) ? broker_ : etcd_)->announce(key, value);
  }
  void compare_and_set(const std::string& key, const std::string& value, std::uint64_t expected,
                       Swapped swapped) override {
    etcd_->compare_and_set(key, value, expected, std::move(swapped));
  }
  void watch(const std::string& prefix, Watcher watcher, Listed listed) override {
    etcd_->watch(prefix, std::move(watcher), std::move(listed));
  }
  void resign() override {
    broker_->resign();
    etcd_->resign();
  }
  bool connected() const override { return etcd_->connected(); }
  std::optional<base::TimePoint> deadline() const override { return etcd_->deadline(); }
  std::string refusal() const override { return etcd_->refusal(); }

 private:
  std::unique_ptr<Coordinator> etcd_;
  std::unique_ptr<Coordinator> broker_;
};

}  // namespace

std::unique_ptr<Coordinator> make_etcd_coordinator(const config::Coordination& settings,
                                                   net::Loop& loop, const std::string& name,
                                                   const std::string& identity) {
  const config::Etcd& etcd = *settings.etcd;
  return make_etcd_coordinator(loop,
                               {.endpoints = etcd.endpoints,
                                .prefix = etcd.prefix + "/",
                                .lease = settings.lease,
                                .ca_file = etcd.ca_file,
                                .cert_file = etcd.cert_file,
                                .key_file = etcd.key_file,
                                .user = etcd.user,
                                .password_file = etcd.password_file},
                               name, identity);
}

std::unique_ptr<Coordinator> make_coordinator(const config::Cluster& cluster, net::Loop& loop,
                                              const std::string& name,
                                              const std::string& identity) {
  auto broker =
      make_local_coordinator(loop, cluster.broker.directory(), name, cluster.keys(), identity);
  if (!cluster.coordination.etcd) return broker;
  return std::make_unique<EtcdAndBroker>(
      make_etcd_coordinator(cluster.coordination, loop, name, identity), std::move(broker));
}

}  // namespace canopy::coordination
