// Compare-and-sets, each repeated until its outcome is certain, and in order for each key.
// Belongs to its loop.
#pragma once

#include <cstdint>
#include <list>
#include <string>

#include "core/coordination/coordinator.h"
#include "core/coordination/etcd_gateway.h"

namespace canopy::coordination::etcd {

class Swaps {
 public:
  static constexpr std::size_t max_under_way = 16;
  // Bound of the bytes under way, so that a slow connection sends them in time.
  static constexpr std::size_t max_under_way_bytes = max_value_bytes;
  // Bound of unanswered compare-and-sets; further ones fail.
  static constexpr std::size_t max_pending = 256;
  static constexpr std::size_t max_pending_bytes = std::size_t{16} << 20;

  // `prefix`: of every key. `gateway` outlives this.
  Swaps(Gateway& gateway, const std::string& prefix) : gateway_(gateway), prefix_(prefix) {}
  Swaps(const Swaps&) = delete;
  Swaps& operator=(const Swaps&) = delete;

  void proceed();
  void add(const std::string& key, const std::string& value, Revision expected,
           Coordinator::Swapped swapped);

 private:
  struct Pending {
    std::string key{};
    std::string value{};
    Revision expected = 0;
    Coordinator::Swapped swapped{};
    bool under_way = false;
    bool doubtful = false;  // an earlier request may have been carried out
  };

  bool may_start(std::list<Pending>::const_iterator swap) const;
  void start(std::list<Pending>::iterator swap);
  void judge(std::list<Pending>::iterator swap, const Gateway::Answer& answer);
  void end(std::list<Pending>::iterator swap, bool swapped);

  Gateway& gateway_;
  const std::string prefix_;
  std::list<Pending> pending_{};
  std::size_t bytes_ = 0;
  std::size_t under_way_ = 0;
  std::size_t under_way_bytes_ = 0;
};

}  // namespace canopy::coordination::etcd
