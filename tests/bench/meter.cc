#include "tests/bench/meter.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace canopy::bench {
namespace {

std::uint64_t big_endian(const char* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// --- frames of ZMTP ----------------------------------------------------------------------------

constexpr char zmtp_more = 1, zmtp_long = 2, zmtp_command = 4;

struct FrameHead {
  std::size_t bytes = 0;  // of the head itself
  std::uint64_t body = 0;
  bool message = true;  // the frame is a complete message
};

std::optional<FrameHead> frame_head(std::string_view data) {
  if (data.size() < 2) return {};
  const bool large = (data[0] & zmtp_long) != 0;
  if (large && data.size() < 9) return {};
  return FrameHead{large ? std::size_t{9} : std::size_t{2},
                   large ? big_endian(data.data() + 1, 8) : big_endian(data.data() + 1, 1),
                   (data[0] & (zmtp_command | zmtp_more)) == 0};
}

// --- header of a native message ------------------------------------------------------------------

// Reads and removes one unsigned MessagePack integer; nothing when there is none.
std::optional<std::uint64_t> read_unsigned(std::string_view& data) {
  if (data.empty()) return {};
  const auto first = static_cast<unsigned char>(data[0]);
  std::size_t bytes = 0;
  if (first >= 0xcc && first <= 0xcf) bytes = std::size_t{1} << (first - 0xcc);
  if ((bytes == 0 && first > 0x7f) || data.size() < 1 + bytes) return {};
  const std::uint64_t value = bytes == 0 ? first : big_endian(data.data() + 1, bytes);
  data.remove_prefix(1 + bytes);
  return value;
}

struct Span {
  std::uint64_t count = 0;   // updates of a batch
  std::uint64_t missed = 0;  // updates of a gap
};

// version · array · kind · stream · after · count, at their greatest lengths
constexpr std::size_t header_bytes = 1 + 1 + 2 + 9 + 9 + 5;

std::optional<Span> span_of(std::string_view data) {
  if (data.size() < 2 || data[0] != wire::native::version || (data[1] & 0xf0) != 0x90) return {};
  data.remove_prefix(2);
  const auto kind = read_unsigned(data);
  if (!kind) return {};
  switch (static_cast<wire::native::Kind>(*kind)) {
    case wire::native::Kind::refusal: return {};
    case wire::native::Kind::batch: {
      const auto stream = read_unsigned(data);
      const auto after = read_unsigned(data);
      const auto count = read_unsigned(data);
      if (!stream || !after || !count) return {};
      return Span{.count = *count};
    }
    case wire::native::Kind::gap:
      read_unsigned(data);
      return Span{.missed = read_unsigned(data).value_or(0)};
    default: return Span{};
  }
}

}  // namespace

RecordMeter::RecordMeter(Protocol protocol, measure::Histogram* ages)
    : record_(delivered(protocol)), pings_among_(protocol == Protocol::nats), ages_(ages) {}

std::uint64_t RecordMeter::feed(std::string_view data, std::int64_t now_us) {
  return ages_ == nullptr && !pings_among_ ? count(data.size()) : walk(data, now_us);
}

std::uint64_t RecordMeter::count(std::size_t bytes) {
  const std::uint64_t before = bytes_ / record_.bytes.size();
  bytes_ += bytes;
  return bytes_ / record_.bytes.size() - before;
}

std::uint64_t RecordMeter::walk(std::string_view data, std::int64_t now_us) {
  std::uint64_t completed = 0;
  while (!data.empty()) {
    if (left_ == 0) {
      if (data[0] != record_.bytes[0] && !pings_among_) sane_ = false;
      length_ = data[0] == nats_ping[0] && pings_among_ ? nats_ping.size() : record_.bytes.size();
      left_ = length_;
    }
    const std::size_t at = length_ - left_, taken = std::min(left_, data.size());
    if (ages_ != nullptr) {
      const std::size_t from = std::max(at, record_.body);
      const std::size_t to = std::min(at + taken, record_.body + measure::stamp_bytes);
      if (from < to) std::memcpy(&stamp_[from - record_.body], &data[from - at], to - from);
    }
    left_ -= taken;
    data.remove_prefix(taken);
    if (left_ > 0) break;
    if (length_ == record_.bytes.size()) {
      ++completed;
      if (ages_ != nullptr) {
        const auto stamp = measure::read_stamp({stamp_.data(), stamp_.size()}, bench_run);
        stamp ? ages_->record(now_us - stamp->sent_us) : void(sane_ = false);
      }
    } else {
      ++pings_;
    }
  }
  return completed;
}

std::uint64_t BatchMeter::feed(std::string_view data, std::int64_t) {
  std::uint64_t completed = 0;
  while (!data.empty() && sane_) {
    if (skip_ > 0) {
      const std::size_t taken = std::min(skip_, data.size());
      skip_ -= taken;
      data.remove_prefix(taken);
      continue;
    }
    // A frame header in two pieces is rare; its bytes are appended one by one.
    const bool whole = head_.empty();
    if (!whole) {
      head_ += data[0];
      data.remove_prefix(1);
    }
    const std::string_view start = whole ? data : head_;
    const auto frame = frame_head(start);
    const std::size_t wanted =
        !frame ? 9 : frame->bytes + std::min<std::uint64_t>(frame->body, header_bytes);
    if (!frame || start.size() < wanted) {
      if (!whole) continue;
      head_.assign(data);
      break;
    }
    if (frame->message) {
      const auto span = span_of(start.substr(frame->bytes));
      if (!span) sane_ = false;
      completed += span ? span->count : 0;
      skipped_ += span ? span->missed : 0;
    }
    const std::size_t all = frame->bytes + frame->body;
    if (whole) {
      skip_ = all;
    } else {
      skip_ = all - head_.size();
      head_.clear();
    }
  }
  return completed;
}

std::uint64_t BatchSampler::feed(std::string_view data, std::int64_t now_us) {
  std::uint64_t completed = 0;
  pending_.append(data);
  std::string_view rest = pending_;
  for (auto frame = frame_head(rest); frame && rest.size() >= frame->bytes + frame->body;
       frame = frame_head(rest)) {
    const std::string_view body = rest.substr(frame->bytes, frame->body);
    rest.remove_prefix(frame->bytes + frame->body);
    if (!frame->message) continue;
    if (!wire::native::decode_from_proxy(body, message_) ||
        std::holds_alternative<wire::native::Refusal>(message_)) {
      sane_ = false;
    } else if (const auto* batch = std::get_if<wire::native::Batch>(&message_)) {
      completed += sample(*batch, now_us);
    } else if (const auto* gap = std::get_if<wire::native::Gap>(&message_)) {
      skipped_ += gap->missed.value_or(0);
    }
  }
  pending_.erase(0, pending_.size() - rest.size());
  return completed;
}

std::uint64_t BatchSampler::sample(const wire::native::Batch& batch, std::int64_t now_us) {
  for (const auto& entry : batch.entries) {
    const auto stamp = measure::read_stamp(entry.value, bench_run);
    if (stamp) ages_.record(now_us - stamp->sent_us);
  }
  return batch.header.count;
}

std::unique_ptr<Meter> make_meter(Protocol protocol, measure::Histogram* ages) {
  if (protocol != Protocol::native && protocol != Protocol::native_lz4) {
    return std::make_unique<RecordMeter>(protocol, ages);
  }
  if (ages != nullptr) return std::make_unique<BatchSampler>(*ages);
  return std::make_unique<BatchMeter>();
}

}  // namespace canopy::bench
