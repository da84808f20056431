#include "shard/storage_records.h"

#include <algorithm>

namespace canopy::shard::records {
namespace {

constexpr std::size_t number_bytes = 8;

void put(std::string& out, std::uint64_t number) { out += to_bytes(number); }
void put(std::string& out, const std::string& text) {
  put(out, text.size());
  out += text;
}
void put(std::string& out, const cluster::ReplicaId& id) {
  put(out, id.shard);
  put(out, id.identity);
}

// Reads fields in order. Beyond the end, fields are zero and whole() returns nothing.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : left_(bytes) {}

  std::uint64_t number() { return to_number(read(number_bytes)); }
  std::string text() { return std::string(read(number())); }
  std::uint32_t epoch() {
    const std::uint64_t value = number();
    good_ &= value <= keyspace::Revision::max_epoch;
    return static_cast<std::uint32_t>(value);
  }
  keyspace::Revision revision() { return keyspace::Revision(number()); }
  cluster::ReplicaId replica() {
    std::string shard = text();
    return {.shard = std::move(shard), .identity = text()};
  }
  bool more() const { return good_ && !left_.empty(); }
  // The number of records of at least `bytes_each` that follow.
  std::uint64_t count(std::size_t bytes_each) {
    const std::uint64_t value = number();
    good_ &= value <= left_.size() / bytes_each;
    return good_ ? value : 0;
  }

  // Nothing unless the fields took every byte.
  template <typename Record>
  std::optional<Record> whole(Record record) const {
    if (!good_ || !left_.empty()) return std::nullopt;
    return record;
  }

 private:
  std::string_view read(std::uint64_t size) {
    good_ &= size <= left_.size();
    if (!good_) return {};
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::string_view left_;
  bool good_ = true;
};

}  // namespace

std::string to_bytes(std::uint64_t number) {
  std::string bytes(number_bytes, '\0');
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte, number >>= 8) {
    *byte = static_cast<char>(number);
  }
  return bytes;
}

std::uint64_t to_number(std::string_view bytes) {
  if (bytes.size() < number_bytes) return 0;
  std::uint64_t number = 0;
  for (const char byte : bytes.substr(0, number_bytes)) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return number;
}

std::string end_of(std::string prefix) {
  while (prefix.back() == '\xff') prefix.pop_back();
  ++prefix.back();
  return prefix;
}

std::string encode(const Copy& copy) {
  std::string out;
  put(out, copy.number);
  put(out, copy.identity);
  return out;
}

std::string encode(const State& state) {
  return to_bytes(state.committed.value()) + to_bytes(state.last.value()) +
         to_bytes(state.requests);
}

void append(std::string& out, const keyspace::AppliedRequest& request) {
  put(out, request.revision.value());
  put(out, request.number);
  put(out, request.settled);
  put(out, request.client);
}

std::string encode(const std::vector<keyspace::EpochEnd>& history) {
  std::string out;
  put(out, history.size());
  for (const auto& [epoch, lineage, last] : history) {
    put(out, epoch);
    put(out, lineage);
    put(out, last);
  }
  return out;
}

std::string encode(const cluster::PartitionRecord& record) {
  std::string out;
  put(out, record.epoch);
  put(out, record.lineage);
  put(out, record.leader);
  put(out, record.in_sync.size());
  for (const cluster::ReplicaId& member : record.in_sync) put(out, member);
  for (const auto* texts : {&record.placement, &record.splits}) {
    put(out, texts->size());
    for (const std::string& text : *texts) put(out, text);
  }
  if (record.parent) put(out, *record.parent);
  return out;
}

std::optional<Copy> decode_copy(std::string_view bytes) {
  Fields in(bytes);
  Copy copy;
  copy.number = in.number();
  copy.identity = in.text();
  return in.whole(std::move(copy));
}

std::optional<State> decode_state(std::string_view bytes) {
  Fields in(bytes);
  State state;
  state.committed = in.revision();
  state.last = in.revision();
  state.requests = in.number();
  return in.whole(state);
}

std::optional<std::vector<keyspace::AppliedRequest>> decode_requests(std::string_view bytes) {
  Fields in(bytes);
  std::vector<keyspace::AppliedRequest> requests;
  while (in.more()) {
    auto& request = requests.emplace_back();
    request.revision = in.revision();
    request.number = in.number();
    request.settled = in.number();
    request.client = in.text();
  }
  return in.whole(std::move(requests));
}

std::optional<std::vector<keyspace::EpochEnd>> decode_history(std::string_view bytes) {
  Fields in(bytes);
  std::vector<keyspace::EpochEnd> history(in.count(3 * number_bytes));
  for (keyspace::EpochEnd& end : history) {
    end.epoch = in.epoch();
    end.lineage = in.number();
    end.last = in.number();
  }
  return in.whole(std::move(history));
}

std::optional<cluster::PartitionRecord> decode_record(std::string_view bytes) {
  Fields in(bytes);
  cluster::PartitionRecord record;
  record.epoch = in.epoch();
  record.lineage = in.number();
  record.leader = in.replica();
  record.in_sync.resize(in.count(2 * number_bytes));
  for (cluster::ReplicaId& member : record.in_sync) member = in.replica();
  for (auto* texts : {&record.placement, &record.splits}) {
    texts->resize(in.count(number_bytes));
    for (std::string& text : *texts) text = in.text();
  }
  if (in.more()) record.parent = in.text();
  return in.whole(std::move(record));
}

}  // namespace canopy::shard::records
