// What goes wrong in a world, until its scenario's trouble is over; then everything is mended.
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

  // The first one is the whole, whose shards crash, start and pause with those of the part.
  Faults(Context context, std::vector<Side> sides);

  void start();
  // No further faults, and none that lasts.
  void mend();

 private:
  void next();
  void strike(Fault fault);
  void crash(Shard& shard);
  void move();
  // Whether the partition would be lost, as no member of the set is left.
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
