#include "core/coordination/entries_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "core/base/file_read.h"
#include "core/coordination/durable_file.h"

namespace canopy::coordination {
namespace {

using Entries = EntriesFile::Entries;

constexpr std::string_view entries_header = "canopy-entries 1\n";
constexpr std::string_view batch_word = "batch ";

std::string to_batch(const Entries& entries) {
  std::string body;
  for (const auto& [key, entry] : entries) {
    for (const std::uint64_t number :
         {entry.version, entry.request, std::uint64_t{entry.session.size()},
          std::uint64_t{key.size()}, std::uint64_t{entry.value.size()}}) {
      body += std::to_string(number) + ' ';
    }
    body.back() = '\n';
    body += entry.session + ' ' + key + ' ' + entry.value + '\n';
  }
  return std::string(batch_word) + std::to_string(body.size()) + ' ' + base::fingerprint(body) +
         '\n' + body;
}

// Reads a text from its front; each call returns false when the text is not as expected.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }

  bool skip(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  // A number, and the character that ends it.
  bool read(std::uint64_t& number, char end) {
    const auto [at, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(at - rest_.data()));
    return skip({&end, 1});
  }
  bool read(std::string& bytes, std::uint64_t count, char end) {
    if (count >= rest_.size()) return false;
    bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return skip({&end, 1});
  }

 private:
  std::string_view rest_;
};

bool take_entries(std::string_view body, Entries& entries) {
  TextReader in(body);
  while (!in.rest().empty()) {
    cluster::DirectoryRecord::Entry entry;
    std::string key;
    std::uint64_t session_bytes = 0, key_bytes = 0, value_bytes = 0;
    const bool whole = in.read(entry.version, ' ') && in.read(entry.request, ' ') &&
                       in.read(session_bytes, ' ') && in.read(key_bytes, ' ') &&
                       in.read(value_bytes, '\n') && in.read(entry.session, session_bytes, ' ') &&
                       in.read(key, key_bytes, ' ') && in.read(entry.value, value_bytes, '\n');
    if (!whole) return false;
    entries[key] = std::move(entry);
  }
  return true;
}

// The batch at the front of `text`, and the rest; absent when the batch is broken.
struct Batch {
  Entries entries{};
  std::string_view rest{};
};
std::optional<Batch> take_batch(std::string_view text) {
  TextReader in(text);
  std::uint64_t size = 0;
  std::string fingerprint;
  if (!in.skip(batch_word) || !in.read(size, ' ') || !in.read(fingerprint, 16, '\n')) return {};
  if (size > in.rest().size()) return {};
  const std::string body(in.rest().substr(0, size));
  Batch batch{.rest = in.rest().substr(size)};
  if (base::fingerprint(body) != fingerprint || !take_entries(body, batch.entries)) return {};
  return batch;
}

bool has_batch(std::string_view text) {
  for (auto at = text.find(batch_word); at != std::string_view::npos;
       at = text.find(batch_word, at + 1)) {
    if (take_batch(text.substr(at))) return true;
  }
  return false;
}

}  // namespace

EntriesFile::EntriesFile(const std::string& directory)
    : directory_(directory), path_(directory + "/entries") {}

base::Result<std::unique_ptr<EntriesFile>> EntriesFile::open(const std::string& directory) {
  std::unique_ptr<EntriesFile> file(new EntriesFile(directory));
  const auto text = read_file(file->path_);
  if (!text) return base::Error{text.error()};
  const auto status = *text ? file->go_on(**text) : file->rewrite({});
  if (!status) return base::Error{status.error()};
  return file;
}

// The content found may not be synced yet, when the previous process ended and the machine did not.
base::Status EntriesFile::go_on(const std::string& text) {
  if (auto status = read(text); !status) return status;
  file_ = net::Descriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file_ || ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
    return system_error(path_);
  }
  if (auto status = sync_file(file_.get(), path_); !status) return status;
  return sync_directory(directory_);
}

base::Status EntriesFile::read(const std::string& text) {
  const base::Error damaged{
      path_ +
      ": damaged; put back a copy of it, or remove it while every shard runs: the leaders "
      "then set their records anew"};
  if (!text.starts_with(entries_header)) return damaged;
  std::string_view rest = std::string_view(text).substr(entries_header.size());
  while (auto batch = take_batch(rest)) {
    for (auto& [key, entry] : batch->entries) present_[key] = std::move(entry);
    rest = batch->rest;
  }
  if (has_batch(rest)) return damaged;
  size_ = text.size() - rest.size();
  size_when_written_ = entries_header.size() + to_batch(present_).size();
  return {};
}

base::Status EntriesFile::keep(const Entries& changed) {
  const std::string batch = to_batch(changed);
  if (file_ && size_ + batch.size() <= 2 * size_when_written_ + spare_bytes) {
    if (auto status = append(batch); !status) return status;
    for (const auto& [key, entry] : changed) present_[key] = entry;
    return {};
  }
  Entries wanted = changed;
  wanted.insert(present_.begin(), present_.end());
  if (auto status = rewrite(wanted); !status) return status;
  present_ = std::move(wanted);
  return {};
}

base::Status EntriesFile::append(const std::string& batch) {
  auto status = write_all(file_.get(), batch, path_);
  if (status) status = sync_file(file_.get(), path_);
  if (status) {
    size_ += batch.size();
  } else {
    // Frees space on a full disk for other files. The next change writes a new file.
    static_cast<void>(::ftruncate(file_.get(), static_cast<off_t>(size_)) == 0);
    file_ = {};
  }
  return status;
}

base::Status EntriesFile::rewrite(const Entries& entries) {
  const std::string fresh = path_ + ".new";
  const std::string text = std::string(entries_header) + to_batch(entries);
  file_ = {};
  net::Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return system_error(fresh);
  if (auto status = write_all(file.get(), text, fresh); !status) return status;
  if (auto status = sync_file(file.get(), fresh); !status) return status;
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) return system_error(path_);
  if (auto status = sync_directory(directory_); !status) return status;
  file_ = std::move(file);
  size_ = size_when_written_ = text.size();
  return {};
}

}  // namespace canopy::coordination
