// Files that a restart finds as they were left. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace canopy::coordination {

// All of `bytes`, where `fd` stands; `path` is for the error.
base::Status write_all(int fd, std::string_view bytes, const std::string& path);
// What was written is on disk.
base::Status sync_file(int fd, const std::string& path);
// What has been created and renamed in the directory is on disk.
base::Status sync_directory(const std::string& path);
// Nothing when there is none.
base::Result<std::optional<std::string>> read_file(const std::string& path);

// "PATH: what errno says".
base::Error system_error(const std::string& path);

}  // namespace canopy::coordination
