// Base64 with padding (RFC 4648, section 4), in which JSON holds bytes. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace canopy::coordination {

std::string to_base64(std::string_view bytes);
// Absent for text that to_base64() does not write.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace canopy::coordination
