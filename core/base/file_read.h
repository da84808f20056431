// The outcome of a process's last read of the configuration file.
#pragma once

#include <cstdint>
#include <string>

namespace canopy::base {

struct FileRead {
  std::string fingerprint{};  // of its text
  std::uint64_t number = 0;   // of the reload: 0 at the start
  std::string refused{};      // why the process does not run it; empty: it does
};

// 16 hexadecimal digits; not cryptographic: an attacker can make collisions.
std::string fingerprint(const std::string& text);

}  // namespace canopy::base
