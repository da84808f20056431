// Prints what happens below /news/, puts one entry there, and ends with Enter.
#include <canopy/canopy.h>

#include <iostream>

int main(int argc, char** argv) {
  canopy::Client client({.brokers = {argc > 1 ? argv[1] : "tcp://127.0.0.1:5550"}});
  auto watching = client.watch("/news/", [](const canopy::Change& change) {
    std::cout << (change.deleted ? "DEL " : "PUT ") << change.key << ' ' << change.value << '\n'
              << std::flush;
  });
  client.put("/news/today", "rain");
  std::cin.get();
}
