// Counts the updates in what one subscriber receives, as cheaply as its protocol allows, and for a
// few subscribers says how old each update was on arrival. Pure; one connection each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/wire/native.h"
#include "tests/bench/dialogue.h"

namespace canopy::bench {

// Ages of updates, in ns.
using Samples = std::vector<std::int64_t>;

class Meter {
 public:
  virtual ~Meter() = default;
  // Takes what was received at `now_ns`; how many updates it completes.
  virtual std::uint64_t feed(std::string_view data, std::int64_t now_ns) = 0;

  // False once something came that cannot be.
  bool sane() const { return sane_; }
  // Updates that the server itself says were skipped (native).
  std::uint64_t skipped() const { return skipped_; }
  // Questions to be answered since the last call (nats).
  int take_pings() { return std::exchange(pings_, 0); }

 protected:
  bool sane_ = true;
  std::uint64_t skipped_ = 0;
  int pings_ = 0;
};

// For protocols whose updates all have one length.
class RecordMeter : public Meter {
 public:
  // `samples` null: only counts.
  RecordMeter(Protocol protocol, Samples* samples);
  std::uint64_t feed(std::string_view data, std::int64_t now_ns) override;

 private:
  std::uint64_t count(std::size_t bytes);
  std::uint64_t walk(std::string_view data, std::int64_t now_ns);

  Record record_;
  bool pings_among_;
  Samples* samples_;
  std::uint64_t bytes_ = 0;  // of counting
  std::size_t length_ = 0;   // of the record that the walk is in, and what is left of it
  std::size_t left_ = 0;
  std::array<char, stamp_bytes> stamp_{};
};

// Counts by the headers of batches, and leaps over the entries.
class BatchMeter : public Meter {
 public:
  std::uint64_t feed(std::string_view data, std::int64_t now_ns) override;

 private:
  std::string head_;      // the start of a frame, while it is too short to tell
  std::size_t leap_ = 0;  // bytes of the current frame still to come
};

// Decodes every message.
class BatchSampler : public Meter {
 public:
  explicit BatchSampler(Samples& samples) : samples_(samples) {}
  std::uint64_t feed(std::string_view data, std::int64_t now_ns) override;

 private:
  std::uint64_t take(const wire::native::Batch& batch, std::int64_t now_ns);

  Samples& samples_;
  std::string pending_;
  wire::native::FromProxy message_;
};

std::unique_ptr<Meter> make_meter(Protocol protocol, Samples* samples);

}  // namespace canopy::bench
