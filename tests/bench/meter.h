// Counts the updates that one subscriber receives, as cheaply as its protocol allows, and records
// the age of each update for some subscribers. One meter for each connection. Pure; not
// thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/wire/native.h"
#include "loadtest/measure/histogram.h"
#include "loadtest/measure/stamp.h"
#include "tests/bench/dialogue.h"

namespace canopy::bench {

class Meter {
 public:
  virtual ~Meter() = default;
  // Counts what was received at `now_us`; returns how many updates it completes.
  virtual std::uint64_t feed(std::string_view data, std::int64_t now_us) = 0;

  // False once the server has sent what its protocol does not allow.
  bool sane() const { return sane_; }
  // Updates that the server reported as skipped (native).
  std::uint64_t skipped() const { return skipped_; }
  // Pings to be answered since the last call (nats).
  int new_pings() { return std::exchange(pings_, 0); }

 protected:
  bool sane_ = true;
  std::uint64_t skipped_ = 0;
  int pings_ = 0;
};

// For protocols with updates of one length.
class RecordMeter : public Meter {
 public:
  // `ages` null: only counts.
  RecordMeter(Protocol protocol, measure::Histogram* ages);
  std::uint64_t feed(std::string_view data, std::int64_t now_us) override;

 private:
  std::uint64_t count(std::size_t bytes);
  std::uint64_t walk(std::string_view data, std::int64_t now_us);

  Record record_;
  bool pings_among_;
  measure::Histogram* ages_;
  std::uint64_t bytes_ = 0;  // counted
  std::size_t length_ = 0;   // of the current record, and its bytes still to come
  std::size_t left_ = 0;
  std::array<char, measure::stamp_bytes> stamp_{};
};

// Counts by the headers of batches, and skips the entries.
class BatchMeter : public Meter {
 public:
  std::uint64_t feed(std::string_view data, std::int64_t now_us) override;

 private:
  std::string head_;      // the start of a frame, while its header is incomplete
  std::size_t skip_ = 0;  // bytes of the current frame still to come
};

// Decodes every message.
class BatchSampler : public Meter {
 public:
  explicit BatchSampler(measure::Histogram& ages) : ages_(ages) {}
  std::uint64_t feed(std::string_view data, std::int64_t now_us) override;

 private:
  std::uint64_t sample(const wire::native::Batch& batch, std::int64_t now_us);

  measure::Histogram& ages_;
  std::string pending_;
  wire::native::FromProxy message_;
};

std::unique_ptr<Meter> make_meter(Protocol protocol, measure::Histogram* ages);

}  // namespace canopy::bench
