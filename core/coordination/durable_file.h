// Writing files so that they survive a crash of the machine. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace canopy::coordination {

// Writes all `bytes` at the position of `fd`; `path` is for the error.
base::Status write_all(int fd, std::string_view bytes, const std::string& path);
// Syncs the content of a file.
base::Status sync_file(int fd, const std::string& path);
// Syncs the names in a directory.
base::Status sync_directory(const std::string& path);
// The content of a file; absent when there is none.
base::Result<std::optional<std::string>> read_file(const std::string& path);

// "PATH: what errno says".
base::Error system_error(const std::string& path);

}  // namespace canopy::coordination
