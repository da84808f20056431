#include "client/cli/write_lines.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "client/checks.h"
#include "client/cli/json.h"
#include "client/cli/text.h"
#include "core/coordination/base64.h"

namespace canopy::client::cli {
namespace {

// The members of one line. Accessors keep the first error.
class Members {
 public:
  explicit Members(std::string_view line) : object_(Json::parse(line, nullptr, false)) {
    if (!object_.is_object()) fail("not a JSON object");
  }

  bool has(const std::string& name) const {
    return object_.is_object() && (object_.contains(name) || object_.contains(name + "_base64"));
  }

  std::string bytes(const std::string& name) {
    const bool plain = object_.is_object() && object_.contains(name);
    const std::string member = plain ? name : name + "_base64";
    if (!has(name)) return fail("\"" + name + "\" is missing");
    if (!object_[member].is_string()) return fail("\"" + member + "\" is not a string");
    const auto& text = object_[member].get_ref<const std::string&>();
    if (plain) return text;
    const auto decoded = coordination::from_base64(text);
    return decoded ? *decoded : fail("\"" + member + "\" is not base64");
  }

  // A number, or a string of digits.
  std::optional<std::uint64_t> number(const std::string& name) {
    if (!has(name)) return std::nullopt;
    const Json& value = object_[name];
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    if (value.is_string()) {
      if (const auto parsed = parse_number(value.get<std::string>())) return *parsed;
    }
    fail("\"" + name + "\" is not a whole number");
    return std::nullopt;
  }

  // Refuses any member but these.
  void allow_only(std::initializer_list<std::string_view> names) {
    if (!object_.is_object()) return;
    for (const auto& [name, value] : object_.items()) {
      std::string_view stem = name;
      if (stem.ends_with("_base64")) stem.remove_suffix(7);
      if (std::ranges::find(names, stem) == names.end()) fail("unknown member " + escaped(name));
    }
  }

  base::Result<wire::Write> result(wire::Write write) {
    if (!error_.empty()) return base::Error{error_};
    if (const Answer fault = check({write}); !fault.ok()) return base::Error{fault.text};
    return write;
  }

 private:
  std::string fail(const std::string& why) {
    if (error_.empty()) error_ = why;
    return {};
  }

  Json object_;
  std::string error_{};
};

void read_content(Members& members, wire::Write& write) {
  write.value = members.bytes("value");
  if (members.has("properties")) write.properties = members.bytes("properties");
  // A number beyond int64 becomes negative, which the check of the write refuses.
  write.ttl_ms = static_cast<std::int64_t>(members.number("ttl_ms").value_or(0));
}

}  // namespace

base::Result<wire::Write> parse_entry_line(std::string_view line) {
  Members members(line);
  members.allow_only({"key", "revision", "value", "properties", "ttl_ms"});
  wire::Write write{.key = members.bytes("key")};
  read_content(members, write);
  return members.result(std::move(write));
}

base::Result<wire::Write> parse_write_line(std::string_view line) {
  Members members(line);
  const bool deletes = members.has("delete");
  wire::Write write{.key = members.bytes(deletes ? "delete" : "put"), .deletes = deletes};
  if (deletes) {
    members.allow_only({"delete", "if_revision"});
  } else {
    members.allow_only({"put", "value", "properties", "ttl_ms", "if_revision"});
    read_content(members, write);
  }
  if (const auto revision = members.number("if_revision")) {
    write.if_revision = keyspace::Revision(*revision);
  }
  return members.result(std::move(write));
}

}  // namespace canopy::client::cli
