// Injects the faults of a scenario for its duration, then ends all of them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/context.h"

namespace canopy::simulation {

class Coordinator;
class Network;
class Shard;

class Faults {
 public:
  // A partition, or its part.
  struct Side {
    Coordinator& coordinator;
    Network& network;
    std::map<std::string, Shard*> shards{};
  };

  // The first side is the whole, whose shards crash, start and pause together with the part's.
  Faults(Context context, std::vector<Side> sides);

  void start();
  // Ends every fault, and injects no more.
  void mend();

 private:
  void next();
  void strike(Fault fault);
  void crash(Shard& shard);
  void move();
  // Whether a crash of the shard would lose the partition: no other member of the set is left.
  bool fatal(const Shard& shard, const Side& side) const;
  void later(std::function<void()> mended);
  Shard& any_shard();

  Context context_;
  std::vector<Side> sides_;
  std::map<std::string, Shard*>& shards_;
  std::vector<std::string> names_{};
  bool over_ = false;
};

}  // namespace canopy::simulation
