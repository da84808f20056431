// The trace of a simulation: one line an event, with time, actor and action.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "core/cluster/replica.h"
#include "tests/simulation/events.h"

namespace canopy::simulation {

class Trace {
 public:
  Trace(const Events& events, bool on) : events_(events), on_(on) {}

  // `text()` makes the text; called only while tracing is on.
  template <typename Text>
  void operator()(std::string_view actor, Text&& text) const {
    if (!on_) return;
    fmt::print("{:11.6f}  {:<6} {}\n",
               static_cast<double>((events_.now() - Events::start).count()) / 1e6, actor, text());
  }

 private:
  const Events& events_;
  bool on_;
};

std::string show(keyspace::Revision revision);
std::string show(const std::vector<keyspace::LogEntry>& entries);
std::string show(const std::vector<keyspace::EpochEnd>& history);
std::string show(const cluster::PartitionRecord& record);
std::string show(const cluster::Replica::Operation& operation);
std::string show(const wire::ToLeader& message);
std::string show(const wire::ToFollower& message);

}  // namespace canopy::simulation
