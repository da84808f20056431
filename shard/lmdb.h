// LMDB's handles as objects that end themselves.
#pragma once

#include <lmdb.h>

#include <string_view>
#include <utility>

namespace canopy::shard {

inline MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // LMDB does not write through keys
}

inline std::string_view to_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// A transaction that is undone unless committed.
class Transaction {
 public:
  Transaction() = default;
  ~Transaction() {
    if (handle_ != nullptr) mdb_txn_abort(handle_);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  int begin(MDB_env* environment, unsigned flags) {
    return mdb_txn_begin(environment, nullptr, flags, &handle_);
  }
  int commit() { return mdb_txn_commit(std::exchange(handle_, nullptr)); }
  MDB_txn* get() { return handle_; }

 private:
  MDB_txn* handle_ = nullptr;
};

// Closed before its transaction ends.
class Cursor {
 public:
  Cursor() = default;
  ~Cursor() {
    if (handle_ != nullptr) mdb_cursor_close(handle_);
  }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  int open(MDB_txn* transaction, MDB_dbi database) {
    return mdb_cursor_open(transaction, database, &handle_);
  }
  MDB_cursor* get() { return handle_; }

 private:
  MDB_cursor* handle_ = nullptr;
};

}  // namespace canopy::shard
