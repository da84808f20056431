// What became of the configuration file as a process read it last.
#pragma once

#include <cstdint>
#include <string>

namespace canopy::base {

struct FileRead {
  std::string fingerprint{};  // of its text
  std::uint64_t number = 0;   // of the reload: 0 at the start
  std::string refused{};      // why the process does not run it; empty: it does
};

// 16 hexadecimal digits; tells apart what people write, not what an attacker makes up.
std::string fingerprint(const std::string& text);

}  // namespace canopy::base
