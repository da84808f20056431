#include "core/coordination/directory_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <sstream>
#include <utility>

#include "core/coordination/durable_file.h"
#include "core/net/descriptor.h"

namespace canopy::coordination {
namespace {

using Kept = cluster::DirectoryRecord::Kept;

constexpr const char* generations_header = "canopy-generations 1";
constexpr const char* remedy =
    "; the broker needs a state_dir that it can write and that no other broker uses";

std::string to_text(const Kept& kept) {
  std::string text = std::string(generations_header) + "\nrecord " + kept.identity + "\nreserved " +
                     std::to_string(kept.reserved) + "\nfloor " + std::to_string(kept.floor) + "\n";
  for (const auto& [name, identity] : kept.holders)
    text += "holder " + name + " " + identity + "\n";
  return text + "end\n";
}

// Accepts only what to_text() writes.
std::optional<Kept> parse(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != generations_header) return std::nullopt;
  Kept kept;
  for (std::string word; lines >> word && word != "end";) {
    std::string name;
    if (word == "record") {
      lines >> kept.identity;
    } else if (word == "reserved") {
      lines >> kept.reserved;
    } else if (word == "floor") {
      lines >> kept.floor;
    } else if (word == "holder") {
      lines >> name >> kept.holders[name];
    }
  }
  if (kept.reserved > cluster::DirectoryRecord::max_generation || to_text(kept) != text) {
    return std::nullopt;
  }
  return kept;
}

// Overwrites the existing file, because that needs no space on a full disk.
base::Status write_through(const std::string& path, const std::string& text) {
  const net::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file) return system_error(path);
  if (auto status = write_all(file.get(), text, path); !status) return status;
  if (::ftruncate(file.get(), std::ssize(text)) != 0) return system_error(path);
  return sync_file(file.get(), path);
}

// Exchanges `fresh` and `path` if the file system can; else renames `fresh` to `path`.
bool replace(const std::string& fresh, const std::string& path) {
  return ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0 ||
         std::rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace

base::Result<std::unique_ptr<DirectoryFile>> DirectoryFile::open(
    const std::string& directory, std::chrono::milliseconds patience) {
  std::unique_ptr<DirectoryFile> file(new DirectoryFile(directory));
  auto lock = base::DirectoryLock::acquire(directory, patience);
  if (!lock) return base::Error{lock.error() + remedy};
  if (*lock == nullptr) return base::Error{directory + ": held by another running broker" + remedy};
  file->lock_ = std::move(*lock);
  if (auto status = file->read(); !status) return base::Error{status.error()};
  auto entries = EntriesFile::open(directory);
  if (!entries) return base::Error{entries.error() + remedy};
  file->entries_ = std::move(*entries);
  return file;
}

base::Status DirectoryFile::read() {
  const std::string path = directory_ + "/generations";
  kept_ = {.identity = base::random_identity(), .reserved = first_generation, .holders = {}};
  const auto text = read_file(path);
  if (!text) return base::Error{text.error()};
  if (!*text) return {};
  auto kept = parse(**text);
  if (!kept) {
    return base::Error{path +
                       ": damaged; put back a copy of it, or remove it while every shard and proxy "
                       "runs: the broker then goes on above what they know"};
  }
  kept_ = std::move(*kept);
  return {};
}

base::Status DirectoryFile::write(const Kept& kept) const {
  const std::string path = directory_ + "/generations";
  const std::string fresh = path + ".new";
  const bool is_first = ::access(path.c_str(), F_OK) != 0;
  if (auto status = write_through(fresh, to_text(kept)); !status) return status;
  if (!replace(fresh, path)) return system_error(path);
  if (is_first) static_cast<void>(write_through(fresh, to_text(kept)).ok());
  return sync_directory(directory_);
}

base::Result<cluster::DirectoryRecord> DirectoryFile::record() {
  cluster::DirectoryRecord record(
      kept_, [this](const Kept& kept) { return write(kept); }, entries_->present(),
      [this](const EntriesFile::Entries& changed) { return entries_->keep(changed); });
  if (auto status = record.reserve(); !status) return base::Error{status.error() + remedy};
  return record;
}

}  // namespace canopy::coordination
