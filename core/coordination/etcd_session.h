// The session of this process in etcd: it obtains a generation, a lease and the name, and puts the
// announcements, in this order. It repeats each request until etcd has carried it out, and begins
// again when the lease is lost. Belongs to its loop.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "core/coordination/coordinator.h"
#include "core/coordination/etcd_gateway.h"

namespace canopy::coordination::etcd {

class Session {
 public:
  // `gateway` outlives this.
  Session(Gateway& gateway, const EtcdSettings& settings, const std::string& name,
          const std::string& identity);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Sends the next request, if one is due.
  void proceed();

  void on_generation(Coordinator::Generation granted) { granted_ = std::move(granted); }
  void report_known(std::function<std::uint32_t()> known) { known_elsewhere_ = std::move(known); }
  void announce(const std::string& key, const std::string& value);
  void resign();

  bool registered() const { return held_; }
  std::optional<base::TimePoint> deadline() const;
  const std::string& refusal() const { return refusal_; }
  base::Duration ttl() const { return ttl_; }

 private:
  struct Announced {
    std::string value{};
    Revision modified = 0;  // of the key in etcd, as far as known
    bool sent = false;      // `value`, and not refused since
    bool under_way = false;
  };

  std::uint32_t known() const;
  void ask(const char* what, const std::string& body, std::function<void(const std::string&)> then,
           std::optional<base::Duration> patience = std::nullopt);
  void fail(const Gateway::Answer& answer);
  void confirm_generation();
  void raise_generation(const std::optional<KeyValue>& counter);
  void adopt(std::uint32_t generation);
  void grant();
  void keep_alive();
  void renew(const std::string& answer, base::TimePoint sent);
  void lose();
  void take_name();
  void judge(const KeyValue& holder);
  void refuse_name(const std::string& why);
  void send_announced();
  void put(const std::string& key);
  void on_put(Announced& announced, LeaseId lease, const Gateway::Answer& answer);
  void wake_at(base::TimePoint when);

  Gateway& gateway_;
  net::Loop& loop_;
  const std::string prefix_;
  const std::chrono::seconds wanted_ttl_;
  const std::string name_;
  const std::string identity_;
  const std::string counter_key_;
  const std::string name_key_;

  bool asking_ = false;           // a request for one of the following is under way
  std::uint32_t generation_ = 0;  // 0: none granted yet
  std::string record_{};          // of generations: the one that granted it
  bool confirmed_ = false;        // etcd has had this record since the lease was last lost
  LeaseId lease_ = 0;
  base::Duration ttl_{};
  base::TimePoint renewed_{};  // when the last answered renewal was sent
  base::TimePoint renew_at_{};
  bool held_ = false;  // the name
  base::TimePoint name_at_{};
  bool resigned_ = false;
  std::string refusal_{};

  std::map<std::string, Announced> announced_{};
  std::size_t puts_ = 0;  // under way
  Coordinator::Generation granted_{};
  std::function<std::uint32_t()> known_elsewhere_{};
  net::Loop::TimerId timer_ = 0;
};

}  // namespace canopy::coordination::etcd
