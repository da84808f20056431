#include "shard/wal_check.h"

#include <algorithm>
#include <boost/crc.hpp>
#include <string>
#include <utility>

#include "shard/storage_records.h"

namespace canopy::shard {
namespace {

constexpr std::size_t block_bytes = 32'768;
constexpr std::size_t header_bytes = 7;
constexpr std::size_t batch_header_bytes = 12;
constexpr std::size_t marker_bytes = 10;  // tag, length, number
constexpr std::size_t start_bytes = batch_header_bytes + marker_bytes;
constexpr char log_data_tag = 3;

enum Type : std::uint8_t { whole = 1, first = 2, middle = 3, last = 4 };

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
    number = number << 8 | static_cast<unsigned char>(*byte);
  }
  return number;
}

std::uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

}  // namespace

void read_log(std::string_view file,
              const std::function<void(std::optional<std::string_view> start)>& visit) {
  std::optional<std::string> start;  // first bytes of the present record
  while (!file.empty()) {
    std::string_view block = file.substr(0, block_bytes);
    file.remove_prefix(block.size());
    bool broken = false;
    while (block.size() >= header_bytes) {
      const std::size_t size = header_bytes + little_endian(block.substr(4, 2));
      const auto type = static_cast<std::uint8_t>(block[6]);
      const bool starts = type == whole || type == first;
      const bool sound = type >= whole && type <= last && size <= block.size() &&
                         masked_crc(block.substr(6, size - 6)) == little_endian(block.substr(0, 4));
      if (!std::exchange(broken, !sound) && (!sound || starts == start.has_value())) {
        visit(std::nullopt);
      }
      if (!sound) {
        start.reset();
        block.remove_prefix(1);  // the next record may begin anywhere
        continue;
      }
      if (starts) start.emplace();
      // The first part of a record may be shorter than start_bytes.
      if (start)
        *start += block.substr(header_bytes, size - header_bytes)
                      .substr(0, start_bytes - std::min(start_bytes, start->size()));
      block.remove_prefix(size);
      if (type == first || type == middle) continue;
      if (start) visit(start);
      start.reset();
    }
    if (!block.empty() && file.empty()) visit(std::nullopt);
  }
  if (start) visit(std::nullopt);
}

bool check_manifest(std::string_view file) {
  bool sound = !file.empty();
  read_log(file, [&](std::optional<std::string_view> start) { sound &= start.has_value(); });
  return sound;
}

void WalCheck::on_broken() {
  if (!lost_from_) lost_from_ = expected_.value_or(0);
}

// `start`: of a complete batch.
void WalCheck::on_batch(std::string_view start, bool first_in_file) {
  if (start.size() < batch_header_bytes) return on_broken();
  const std::uint64_t sequence = little_endian(start.substr(0, 8));
  const std::uint64_t count = little_endian(start.substr(8, 4));
  // RocksDB may have removed an earlier file whose batches are in tables.
  if (!first_in_file && expected_ && sequence > *expected_) on_broken();
  // The broken batches were written again in another file.
  if (lost_from_ && sequence <= *lost_from_) lost_from_.reset();
  const std::string_view marker = start.substr(batch_header_bytes);
  if (lost_from_ && marker.size() >= marker_bytes && marker[0] == log_data_tag &&
      records::to_number(marker.substr(2)) >= *lost_from_) {
    damaged_ = true;
  }
  if (count > 0) expected_ = sequence + count;  // RocksDB writes an empty batch after a recovery
}

bool WalCheck::read(std::string_view file) {
  bool first_in_file = true;
  read_log(file, [&](std::optional<std::string_view> start) {
    if (!start) return on_broken();
    on_batch(*start, std::exchange(first_in_file, false));
  });
  return !damaged_;
}

}  // namespace canopy::shard
