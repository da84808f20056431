#include "core/coordination/etcd.h"

#include <cassert>
#include <deque>
#include <utility>

#include "core/coordination/etcd_gateway.h"
#include "core/coordination/etcd_session.h"
#include "core/coordination/etcd_swaps.h"
#include "core/coordination/etcd_watch.h"

namespace canopy::coordination {
namespace {

class EtcdCoordinator final : public Coordinator {
 public:
  EtcdCoordinator(net::Loop& loop, const EtcdSettings& settings, const std::string& name,
                  const std::string& identity)
      : loop_(loop),
        root_(settings.prefix + "directory/"),
        gateway_(loop, settings, [this] { proceed(); }),
        session_(gateway_, settings, name, identity),
        swaps_(gateway_, root_) {}

  std::string service() const override { return "etcd"; }

  void on_generation(Generation granted) override { session_.on_generation(std::move(granted)); }

  void report_known(std::function<std::uint32_t()> known) override {
    session_.report_known(std::move(known));
  }

  void announce(const std::string& key, const std::string& value) override {
    session_.announce(key, value);
  }

  void compare_and_set(const std::string& key, const std::string& value, std::uint64_t expected,
                       Swapped swapped) override {
    swaps_.add(key, value, expected, std::move(swapped));
  }

  void watch(const std::string& prefix, Watcher watcher, Listed listed) override {
    watches_.emplace_back(gateway_, root_, prefix, std::move(watcher), std::move(listed)).proceed();
  }

  void resign() override { session_.resign(); }

  bool connected() const override {
    const auto heard = gateway_.heard();
    return session_.registered() && heard && loop_.now() - *heard < session_.ttl();
  }

  std::optional<base::TimePoint> deadline() const override { return session_.deadline(); }

  std::string refusal() const override {
    return gateway_.refusal().empty() ? session_.refusal() : gateway_.refusal();
  }

 private:
  void proceed() {
    session_.proceed();
    swaps_.proceed();
    const std::size_t count = watches_.size();
    for (std::size_t i = 0; i < count; ++i) watches_[i].proceed();
  }

  net::Loop& loop_;
  const std::string root_;
  etcd::Gateway gateway_;
  etcd::Session session_;
  etcd::Swaps swaps_;
  std::deque<etcd::Watch> watches_{};  // grows at its end only: references stay
};

}  // namespace

std::unique_ptr<Coordinator> make_etcd_coordinator(net::Loop& loop, const EtcdSettings& settings,
                                                   const std::string& name,
                                                   const std::string& identity) {
  assert(!settings.endpoints.empty());
  return std::make_unique<EtcdCoordinator>(loop, settings, name, identity);
}

}  // namespace canopy::coordination
