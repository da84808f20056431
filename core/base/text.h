// Small things done with text.
#pragma once

#include <string>
#include <vector>

namespace canopy::base {

// "a, b, c"; empty for none.
inline std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : ", ") + each;
  return text;
}

}  // namespace canopy::base
