#include "shard/storage.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/experimental.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/wire/replication.h"

namespace canopy::shard {
namespace {

using cluster::Replica;
using keyspace::LogEntry;
using keyspace::Revision;
using records::key_of;

// Bounds of the batches and records that an Install is written in.
constexpr std::size_t staged_batch_bytes = std::size_t{1} << 20;
constexpr std::size_t staged_requests = 1'000;  // in one record

}  // namespace

// Also reads the text of the status: RocksDB has no code for quotas, nor for every full disk.
base::Error Storage::failure(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  const auto says = [&](int code) { return text.find(std::strerror(code)) != std::string::npos; };
  failed_ = true;
  out_of_room_ = status.IsNoSpace() || says(ENOSPC) || says(EDQUOT);
  return {path_ + ": " + text};
}

std::unique_ptr<rocksdb::WriteBatch> Storage::new_batch() const {
  auto batch = std::make_unique<rocksdb::WriteBatch>();
  batch->PutLogData(records::to_bytes(synced_));  // see WalCheck
  return batch;
}

base::Status Storage::write_batch(rocksdb::WriteBatch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  if (const auto status = database_->Write(options, &batch); !status.ok()) return failure(status);
  if (sync) synced_ = database_->GetLatestSequenceNumber();
  return {};
}

base::Status Storage::write(std::vector<Operations> groups, bool sync) {
  if (failed_) return base::Error{path_ + ": an earlier write has not succeeded"};
  for (Operations& group : groups) {
    const auto copy = copies_.find(group.partition);
    assert(copy != copies_.end());
    for (Replica::Store& store : group.operations) {
      if (const auto* split = std::get_if<Replica::Split>(&store.operation)) {
        const std::string subtree(split->entry->key);
        copies_.try_emplace(subtree, OpenCopy{.partition = subtree, .retain = copy->second.retain});
      }
      work_.push_back({&copy->second, std::move(store.operation)});
    }
  }
  batch_ = new_batch();
  sync_batch_ = sync;
  return finish();
}

base::Status Storage::sync() { return write({}, true); }

base::Status Storage::finish() {
  auto status = *background_error_ ? retry() : attempt();
  if (!status && out_of_room_ && reserve_.give_up()) return retry();
  return status;
}

base::Status Storage::retry() {
  failed_ = true;
  out_of_room_ = false;
  {
    const std::lock_guard lock(mutex_);
    close_database();
    if (auto status = open_existing(false); !status) return status;
  }
  failed_ = false;
  return attempt();
}

base::Status Storage::check_space() {
  reserve_.check();
  if (failed_ || !low()) return {};
  if (*background_error_) {
    reserve_.give_up();
    return sync();  // reopens the database
  }
  std::uint64_t busy = 0;
  std::uint64_t pending = 0;
  database_->GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions, &busy);
  database_->GetIntProperty(handles_[entries], rocksdb::DB::Properties::kCompactionPending,
                            &pending);
  const std::uint64_t sequence = database_->GetLatestSequenceNumber();
  if (busy + pending > 0 || sequence == std::exchange(compacted_, sequence)) return {};
  // RocksDB repeats a failed compaction in the background, and reports it there.
  database_->Flush({}, handles_[entries]).PermitUncheckedError();
  rocksdb::experimental::SuggestCompactRange(database_.get(), handles_[entries], nullptr, nullptr)
      .PermitUncheckedError();
  return {};
}

base::Status Storage::attempt() {
  while (!work_.empty()) {
    Work& work = work_.front();
    auto status = std::visit([&](auto& what) { return apply(*work.copy, what); }, work.operation);
    if (!status) return status;
    changed_.insert(work.copy);
    work_.pop_front();
  }
  if (batch_ == nullptr) return {};
  for (OpenCopy* copy : changed_) put_state(*copy);
  changed_.clear();
  if (auto status = write_batch(*batch_, sync_batch_); !status) return status;
  batch_.reset();
  for (const std::uint64_t number : std::exchange(forgotten_, {})) {
    const std::string from = records::to_bytes(number);
    const std::string to = records::to_bytes(number + 1);
    const rocksdb::Slice begin(from);
    const rocksdb::Slice end(to);
    // The next compaction removes the rest.
    rocksdb::DeleteFilesInRange(database_.get(), handles_[entries], &begin, &end, false)
        .PermitUncheckedError();
  }
  return {};
}

void Storage::put(Family family, std::string_view key, std::string_view value) {
  batch_->Put(handles_[family], key, value);
}

void Storage::put_history(const OpenCopy& copy) {
  put(key_of(records::history_prefix, copy.number), records::encode(copy.history));
}

// Updates the end of the last epoch; the stored record may be older.
void Storage::end_history(OpenCopy& copy) {
  const Revision last = copy.state.last;
  if (!copy.history.empty() && copy.history.back().epoch == last.epoch()) {
    copy.history.back().last = last.counter();
  }
}

// Removes all records of a copy except its name.
void Storage::forget(std::uint64_t number) {
  for (const auto prefix :
       {records::state_prefix, records::history_prefix, records::record_prefix}) {
    batch_->Delete(handles_[meta], key_of(prefix, number));
  }
  for (const Family family : {entries, tail, requests}) {
    batch_->DeleteRange(handles_[family], records::to_bytes(number), records::to_bytes(number + 1));
  }
  forgotten_.push_back(number);
}

// --- operations -------------------------------------------------------------------------------

base::Status Storage::apply(OpenCopy& copy, Replica::BeginEpoch& operation) {
  end_history(copy);
  copy.history.push_back({.epoch = operation.epoch, .lineage = operation.lineage});
  if (copy.history.size() > keyspace::ReplicaLog::max_epochs) {
    // Never an epoch with entries in the tail.
    const auto spare = std::ranges::find_if(copy.history, [&](const keyspace::EpochEnd& epoch) {
      return epoch.epoch < copy.state.committed.epoch();
    });
    if (spare != copy.history.end()) copy.history.erase(spare);
  }
  copy.state.last = Revision(operation.epoch, 0);
  put_history(copy);
  return {};
}

base::Status Storage::apply(OpenCopy& copy, Replica::StoreEntries& operation) {
  if (operation.entries.empty()) return {};
  const Revision last = operation.entries.back().update->revision;
  if (operation.committed) commit_tail(copy, copy.state.last);
  for (LogEntry& entry : operation.entries) {
    if (operation.committed) {
      keep(copy, entry);
    } else {
      std::string bytes;
      wire::append_log_entry(bytes, entry);
      put(tail, key_of(copy.number, entry.update->revision.value()), bytes);
      copy.tail.push_back(std::move(entry));
    }
  }
  if (operation.committed) copy.state.committed = last;
  copy.state.last = last;
  return {};
}

base::Status Storage::apply(OpenCopy& copy, Replica::Truncate& operation) {
  const Revision to = operation.to;
  assert(copy.state.committed <= to && to <= copy.state.last);
  while (!copy.tail.empty() && copy.tail.back().update->revision > to) {
    const Revision revision = copy.tail.back().update->revision;
    batch_->Delete(handles_[tail], key_of(copy.number, revision.value()));
    copy.tail.pop_back();
  }
  while (!copy.history.empty() && copy.history.back().epoch > to.epoch()) copy.history.pop_back();
  copy.state.last = to;
  put_history(copy);
  return {};
}

base::Status Storage::apply(OpenCopy& copy, Replica::Commit& operation) {
  assert(operation.to <= copy.state.last);
  commit_tail(copy, operation.to);
  return {};
}

base::Status Storage::apply(OpenCopy& copy, Replica::Remember& operation) {
  put(key_of(records::record_prefix, copy.number), records::encode(operation.record));
  copy.record = std::move(operation.record);
  return {};
}

// Stages the new copy under its own number, like an Install; the batch then names the copy and
// removes its entries from this one.
base::Status Storage::apply(OpenCopy& copy, Replica::Split& operation) {
  const Revision at = operation.entry->revision;
  assert(copy.state.committed <= at && at <= copy.state.last);
  const std::string subtree(operation.entry->key);
  OpenCopy& part = copies_.at(subtree);
  if (part.number == 0) {
    const std::uint64_t number = next_copy_++;
    if (auto status = stage(number, {operation.tree, operation.splits, operation.requests});
        !status) {
      forget(number);
      return status;
    }
    std::string value;  // an unopened copy is obsolete
    if (database_->Get({}, handles_[meta], std::string(records::copy_prefix) + subtree, &value)
            .ok()) {
      if (const auto old = records::decode_copy(value)) forget(old->number);
    }
    part.identity = copy.identity;
    begin(part, number, at, operation.requests.size(), std::move(operation.history));
    changed_.insert(&part);
  }
  commit_tail(copy, at);
  batch_->DeleteRange(handles_[entries], key_of(copy.number, subtree),
                      records::end_of(key_of(copy.number, subtree)));
  put(entries, key_of(copy.number, subtree), operation.entry->encoded());
  return {};
}

// Stages the new state under its own number; the batch then makes it the copy.
base::Status Storage::apply(OpenCopy& copy, Replica::Install& operation) {
  const std::uint64_t number = next_copy_++;
  if (auto status = stage(number, {operation.tree, operation.splits, operation.requests});
      !status) {
    forget(number);
    return status;
  }
  forget(copy.number);
  begin(copy, number, operation.cut, operation.requests.size(), std::move(operation.history));
  if (copy.record) {
    put(key_of(records::record_prefix, number), records::encode(*copy.record));
  }
  return {};
}

// Makes the state staged under this number the copy.
void Storage::begin(OpenCopy& copy, std::uint64_t number, Revision cut, std::size_t applied,
                    std::vector<keyspace::EpochEnd> history) {
  copy.number = number;
  copy.state = {.committed = cut, .last = cut, .requests = applied};
  copy.history = std::move(history);
  copy.tail.clear();
  copy.requests.clear();
  copy.request_records.clear();
  for (std::uint64_t serial = 0; serial < copy.state.requests; serial += staged_requests) {
    copy.request_records.push_back(serial);
  }
  put(std::string(records::copy_prefix) + copy.partition,
      records::encode(records::Copy{.number = number, .identity = copy.identity}));
  put_history(copy);
}

// Background threads turn staged data into tables. On a full disk an assertion in Debian's library
// may stop the process, so the space is checked before.
base::Status Storage::check_room_to_stage() {
  std::error_code fault;
  const std::uint64_t left = std::filesystem::space(path_, fault).available;
  if (fault || left >= reserve_.bytes() / 2) return {};
  failed_ = out_of_room_ = true;
  return base::Error{path_ + ": the disk has no room for another copy"};
}

base::Status Storage::stage(std::uint64_t number, const Contents& contents) {
  auto batch = new_batch();
  const auto written = [&](std::size_t least) -> base::Status {
    if (batch->GetDataSize() < least) return {};
    if (auto status = check_room_to_stage(); !status) return status;
    if (auto status = write_batch(*batch, false); !status) return status;
    batch = new_batch();
    return {};
  };
  for (const keyspace::UpdatePtr& split : contents.splits) {
    batch->Put(handles_[entries], key_of(number, split->key), split->encoded());
  }
  for (auto cursor = contents.tree.seek({}); !cursor.done(); cursor.next()) {
    batch->Put(handles_[entries], key_of(number, (*cursor)->key), (*cursor)->encoded());
    if (auto status = written(staged_batch_bytes); !status) return status;
  }
  for (std::size_t serial = 0; serial < contents.requests.size(); serial += staged_requests) {
    const std::size_t end = std::min(serial + staged_requests, contents.requests.size());
    std::string record;
    for (std::size_t i = serial; i < end; ++i) records::append(record, contents.requests[i]);
    batch->Put(handles_[requests], key_of(number, serial), record);
    if (auto status = written(staged_batch_bytes); !status) return status;
  }
  return written(0);
}

void Storage::commit_tail(OpenCopy& copy, Revision to) {
  while (!copy.tail.empty() && copy.tail.front().update->revision <= to) {
    const LogEntry& entry = copy.tail.front();
    keep(copy, entry);
    batch_->Delete(handles_[tail], key_of(copy.number, entry.update->revision.value()));
    copy.tail.pop_front();
  }
  copy.state.committed = std::max(copy.state.committed, to);
}

void Storage::keep(OpenCopy& copy, const LogEntry& entry) {
  const std::string key = key_of(copy.number, entry.update->key);
  if (entry.update->splits) return;  // Split stores it
  if (entry.update->deleted) {
    batch_->Delete(handles_[entries], key);
  } else if (copy.retain) {
    put(entries, key, entry.update->encoded());
  }
  if (entry.request == nullptr) return;
  if (copy.requests.empty()) copy.request_records.push_back(copy.state.requests);
  records::append(copy.requests, *entry.request);
  ++copy.state.requests;
}

// Adds one record of the group's requests, and removes records older than the last max_requests.
void Storage::put_state(OpenCopy& copy) {
  put(key_of(records::state_prefix, copy.number), records::encode(copy.state));
  if (copy.requests.empty()) return;
  auto& begins = copy.request_records;
  put(requests, key_of(copy.number, begins.back()), std::exchange(copy.requests, {}));
  while (begins.size() > 1 && begins[1] + max_requests <= copy.state.requests) {
    batch_->Delete(handles_[requests], key_of(copy.number, begins.front()));
    begins.pop_front();
  }
}

// --- copies -----------------------------------------------------------------------------------

// Also drops a copy that cannot be read.
base::Status Storage::drop_copy(const std::string& partition) {
  if (failed_) return base::Error{path_ + ": an earlier write has not succeeded"};
  copies_.erase(partition);
  const std::string key = std::string(records::copy_prefix) + partition;
  std::string value;
  const auto found = database_->Get({}, handles_[meta], key, &value);
  if (found.IsNotFound()) return {};
  const auto copy = records::decode_copy(value);
  if (!found.ok() || !copy) return base::Error{path_ + ": the copy of a partition is damaged"};
  batch_ = new_batch();
  sync_batch_ = true;
  batch_->Delete(handles_[meta], key);
  forget(copy->number);
  return finish();
}

}  // namespace canopy::shard
