// What is fuzzed: each decoder, fed with bytes as the network could bring them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::fuzz {

struct Target {
  std::string name;
  std::function<void(std::string_view)> feed;  // aborts when something that must hold does not
  std::vector<std::string> seeds;
};

std::vector<Target> targets();

}  // namespace canopy::fuzz
