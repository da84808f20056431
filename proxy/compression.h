// Decides whether to compress the next batch of a stream. Pure; not thread-safe.
//
// Compressing costs once, for the stream; it saves bytes once for each subscriber. Costs are in
// bytes: compressing one byte costs about as much as sending `pack_cost` bytes.
#pragma once

#include <cstddef>

namespace canopy::proxy {

class Compression {
 public:
  static constexpr std::size_t least_bytes = 512;  // smaller batches are never compressed
  static constexpr double pack_cost = 8;
  static constexpr unsigned probe_every = 64;  // batches, while compression does not pay

  bool worth_trying(std::size_t bytes, std::size_t subscribers) {
    if (bytes < least_bytes) return false;
    if (pays(subscribers)) return true;
    return skipped_++ % probe_every == 0;
  }
  // Reports the size of a compressed batch. True when the compressed form is to be sent.
  bool tried(std::size_t bytes, std::size_t packed, std::size_t subscribers) {
    const double gain = 1 - static_cast<double>(packed) / static_cast<double>(bytes);
    gain_ = known_ ? gain_ + (gain - gain_) / 8 : gain;
    known_ = true;
    return packed < bytes && pays(subscribers);
  }

 private:
  bool pays(std::size_t subscribers) const {
    return known_ && gain_ * static_cast<double>(subscribers) >= pack_cost;
  }

  bool known_ = false;
  double gain_ = 0;  // moving average of the saved share of bytes
  unsigned skipped_ = 0;
};

}  // namespace canopy::proxy
