// One program for all targets, driven by libFuzzer:
//
//   canopy-fuzz seeds DIR                  writes DIR/TARGET/N for all, and prints each TARGET
//   canopy-fuzz TARGET [libFuzzer's…]      fuzzes one, or feeds it the files named
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/fuzz/targets.h"

namespace canopy::fuzz {
namespace {

std::function<void(std::string_view)> feed;

void write_seeds(const std::filesystem::path& folder) {
  for (const Target& target : targets()) {
    std::filesystem::create_directories(folder / target.name);
    for (std::size_t i = 0; i < target.seeds.size(); ++i) {
      std::ofstream(folder / target.name / std::to_string(i), std::ios::binary) << target.seeds[i];
    }
    std::cout << target.name << '\n';
  }
}

void pick(const std::string& name) {
  for (const Target& target : targets()) {
    if (target.name == name) feed = target.feed;
  }
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  const std::vector<std::string> given(*arguments, *arguments + *count);
  if (given.size() == 3 && given[1] == "seeds") {
    canopy::fuzz::write_seeds(given[2]);
    std::exit(EXIT_SUCCESS);
  }
  if (given.size() > 1) canopy::fuzz::pick(given[1]);
  if (!canopy::fuzz::feed) {
    std::cerr << "usage: canopy-fuzz seeds DIR | canopy-fuzz TARGET [options and files]\n";
    std::exit(2);
  }
  // libFuzzer is to see the rest only.
  (*arguments)[1] = (*arguments)[0];
  ++*arguments;
  --*count;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  canopy::fuzz::feed({reinterpret_cast<const char*>(data), size});
  return 0;
}
