// Storage: reads a whole copy and checks every record.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <iterator>

#include "core/base/directory_lock.h"
#include "core/keyspace/key.h"
#include "core/wire/entry.h"
#include "core/wire/replication.h"
#include "shard/storage.h"

namespace canopy::shard {
namespace {

using keyspace::Revision;
using records::key_of;

constexpr std::size_t read_ahead_bytes = std::size_t{2} << 20;

// True when `revision` may follow `position`: it is the next, or the first of a later epoch.
bool follows(Revision revision, Revision position) {
  return revision.value() == position.value() + 1 ||
         (revision.counter() == 1 && revision.epoch() > position.epoch());
}

}  // namespace

base::Result<Storage::Copy> Storage::open_copy(const std::string& partition, bool retain) {
  if (failed_) return base::Error{path_ + ": an earlier write has not succeeded"};
  copies_.erase(partition);
  OpenCopy copy{.partition = partition, .retain = retain};
  Copy out;
  std::string value;
  const auto status =
      database_->Get({}, handles_[meta], std::string(records::copy_prefix) + partition, &value);
  if (status.IsNotFound()) {
    if (auto made = make_copy(copy); !made) return base::Error{made.error()};
  } else {
    const auto named = records::decode_copy(value);
    if (!status.ok() || !named) return base::Error{path_ + ": " + status.ToString()};
    copy.number = named->number;
    copy.identity = named->identity;
    if (auto read = load(copy, out); !read) {
      return base::Error{read.error() + " (partition " + keyspace::shown(partition) + ")"};
    }
  }
  out.identity = copy.identity;
  copies_.emplace(partition, std::move(copy));
  return out;
}

base::Result<bool> Storage::has_copy(const std::string& partition) const {
  std::string value;
  const auto status =
      database_->Get({}, handles_[meta], std::string(records::copy_prefix) + partition, &value);
  if (status.ok() || status.IsNotFound()) return status.ok();
  return base::Error{path_ + ": " + status.ToString()};
}

base::Status Storage::make_copy(OpenCopy& copy) {
  copy.number = next_copy_++;
  copy.identity = base::random_identity();
  batch_ = new_batch();
  sync_batch_ = true;
  put(std::string(records::copy_prefix) + copy.partition,
      records::encode(records::Copy{copy.number, copy.identity}));
  put(key_of(records::state_prefix, copy.number), records::encode(copy.state));
  put_history(copy);
  return finish();
}

base::Status Storage::load(OpenCopy& copy, Copy& out) const {
  auto status = load_meta(copy);
  if (status) status = load_tail(copy);
  if (status) status = load_entries(copy, out.recovered);
  if (status) status = load_requests(copy, out.recovered.requests);
  if (!status) return status;
  out.recovered.committed = copy.state.committed;
  out.recovered.tail.assign(copy.tail.begin(), copy.tail.end());
  out.recovered.history = copy.history;
  out.recovered.record = copy.record;
  return {};
}

base::Status Storage::load_meta(OpenCopy& copy) const {
  const auto read = [&](std::string_view prefix, auto decode, auto& to) -> base::Status {
    std::string value;
    const auto status = database_->Get({}, handles_[meta], key_of(prefix, copy.number), &value);
    auto decoded = decode(value);
    if (status.ok() && decoded) {
      to = std::move(*decoded);
      return {};
    }
    return base::Error{path_ + ": damaged: " + std::string(prefix) + " " + status.ToString()};
  };
  if (auto status = read(records::state_prefix, records::decode_state, copy.state); !status) {
    return status;
  }
  if (auto status = read(records::history_prefix, records::decode_history, copy.history); !status) {
    return status;
  }
  end_history(copy);
  std::string ignored;
  const std::string record_key = key_of(records::record_prefix, copy.number);
  if (database_->Get({}, handles_[meta], record_key, &ignored).IsNotFound()) return {};
  return read(records::record_prefix, records::decode_record, copy.record.emplace());
}

base::Status Storage::load_tail(OpenCopy& copy) const {
  Revision position = copy.state.committed;
  auto status = for_each(
      tail, records::to_bytes(copy.number), [&](std::string_view key, std::string_view value) {
        auto entry = wire::decode_log_entry(value);
        if (!entry || records::to_number(key) != entry->update->revision.value() ||
            !follows(entry->update->revision, position)) {
          return false;
        }
        position = entry->update->revision;
        copy.tail.push_back(std::move(*entry));
        return true;
      });
  const Revision last = copy.state.last;
  if (status && position != last && (last.counter() != 0 || last < position)) {
    return base::Error{path_ + ": damaged: the log ends before its last entry"};
  }
  return status;
}

base::Status Storage::load_entries(const OpenCopy& copy, cluster::Replica::Recovered& out) const {
  return for_each(entries, records::to_bytes(copy.number),
                  [&](std::string_view key, std::string_view value) {
                    auto update = wire::decode_update(value);
                    if (!update || (*update)->key != key || (*update)->deleted ||
                        (*update)->revision > copy.state.committed) {
                      return false;
                    }
                    (*update)->splits ? out.splits.add(*update) : out.tree.put(*update);
                    return true;
                  });
}

base::Status Storage::load_requests(OpenCopy& copy,
                                    std::vector<keyspace::AppliedRequest>& out) const {
  auto& begins = copy.request_records;
  auto status = for_each(
      requests, records::to_bytes(copy.number), [&](std::string_view key, std::string_view value) {
        const std::uint64_t begin = records::to_number(key);
        auto record = records::decode_requests(value);
        const bool follows = begins.empty() || begin == begins.front() + out.size();
        if (!record || !follows) return false;
        begins.push_back(begin);
        std::ranges::move(*record, std::back_inserter(out));
        return true;
      });
  if (!status) return status;
  const std::uint64_t first = begins.empty() ? copy.state.requests : begins.front();
  const std::uint64_t wanted = std::min(copy.state.requests, max_requests);
  if (first + out.size() != copy.state.requests || out.size() < wanted) {
    return base::Error{path_ + ": damaged: holds " + std::to_string(out.size()) + " requests of " +
                       std::to_string(wanted)};
  }
  out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(wanted));
  return {};
}

base::Status Storage::for_each(
    Family family, const std::string& prefix,
    const std::function<bool(std::string_view key, std::string_view value)>& visit) const {
  const std::string end = records::end_of(prefix);
  const rocksdb::Slice bound(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  options.readahead_size = read_ahead_bytes;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> iterator(
      database_->NewIterator(options, handles_[family]));
  for (iterator->Seek(prefix); iterator->Valid(); iterator->Next()) {
    std::string_view key = iterator->key().ToStringView();
    key.remove_prefix(prefix.size());
    if (!visit(key, iterator->value().ToStringView())) {
      return base::Error{path_ + ": damaged: a record of " + handles_[family]->GetName()};
    }
  }
  if (iterator->status().ok()) return {};
  return base::Error{path_ + ": " + iterator->status().ToString()};
}

}  // namespace canopy::shard
