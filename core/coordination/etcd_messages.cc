#include "core/coordination/etcd_messages.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/text.h"
#include "core/coordination/base64.h"

namespace canopy::coordination::etcd {
namespace {

using nlohmann::json;

constexpr std::size_t max_reason_bytes = 300;

// Bytes that are not UTF-8 are replaced; the default would throw.
std::string dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The first key after all that start with `prefix`; "\0" is etcd's word for no end.
std::string end_of(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

json get_of(const std::string& key) { return {{"key", to_base64(key)}}; }

json put_of(const std::string& key, const std::string& value, LeaseId lease) {
  json put = {{"key", to_base64(key)}, {"value", to_base64(value)}};
  if (lease != 0) put["lease"] = std::to_string(lease);
  return put;
}

// Reads the fields of an object, all of which may be absent. The first malformed one is the error.
class Fields {
 public:
  explicit Fields(std::string_view text)
      : own_(json::parse(text, nullptr, false)), object_(&own_), error_(own_error_) {
    if (!object_->is_object()) fail("an object");
  }
  Fields(const json& object, std::string& error) : object_(&object), error_(error) {
    if (!object_->is_object()) fail("an object");
  }
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  const json* find(const char* name) const {
    if (!object_->is_object()) return nullptr;
    const auto found = object_->find(name);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }
  const json* object(const char* name) { return typed(name, &json::is_object, "an object"); }
  const json* array(const char* name) { return typed(name, &json::is_array, "an array"); }

  std::string text(const char* name) {
    const json* found = typed(name, &json::is_string, "a string");
    return found == nullptr ? std::string() : found->get<std::string>();
  }
  bool flag(const char* name) {
    const json* found = typed(name, &json::is_boolean, "a boolean");
    return found != nullptr && found->get<bool>();
  }
  std::string bytes(const char* name) {
    auto decoded = from_base64(text(name));
    if (!decoded) fail(std::string(name) + " in base64");
    return decoded ? *std::move(decoded) : std::string();
  }
  template <typename Integer = std::uint64_t>
  Integer number(const char* name) {
    const json* found = find(name);
    if (found == nullptr) return 0;
    std::uint64_t number = 0;
    bool is_number = found->is_number_unsigned();
    if (is_number) {
      number = found->get<std::uint64_t>();
    } else if (found->is_string()) {
      const auto& text = found->get_ref<const std::string&>();
      const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
      is_number = !text.empty() && fault == std::errc() && end == text.data() + text.size();
    }
    if (!is_number || !std::in_range<Integer>(number)) {
      fail(std::string(name) + " as a number");
      return 0;
    }
    return static_cast<Integer>(number);
  }

  void fail(const std::string& expected) {
    if (error_.empty()) error_ = "unexpected answer: expected " + expected;
  }
  std::string& error() { return error_; }

  template <typename T>
  base::Result<T> result(T parsed) const {
    if (!error_.empty()) return base::Error{error_};
    return parsed;
  }

 private:
  const json* typed(const char* name, bool (json::*is)() const noexcept, const char* type) {
    const json* found = find(name);
    if (found == nullptr || (found->*is)()) return found;
    fail(std::string(name) + " as " + type);
    return nullptr;
  }

  json own_{};
  std::string own_error_{};
  const json* object_;
  std::string& error_;
};

Revision revision_of(Fields& answer) {
  const json* header = answer.object("header");
  const Revision revision =
      header == nullptr ? 0 : Fields(*header, answer.error()).number("revision");
  if (revision == 0) answer.fail("a revision");  // that of an empty etcd is 1
  return revision;
}

KeyValue key_value_of(const json& object, std::string& error) {
  Fields fields(object, error);
  return {.key = fields.bytes("key"),
          .value = fields.bytes("value"),
          .modified = fields.number("mod_revision"),
          .lease = fields.number("lease")};
}

void read_list(Fields& answer, List& list) {
  list.revision = revision_of(answer);
  list.more = answer.flag("more");
  const json* found = answer.array("kvs");
  if (found == nullptr) return;
  for (const json& each : *found) list.found.push_back(key_value_of(each, answer.error()));
}

void read_change(const json& event, WatchEvents& events, std::string& error) {
  Fields fields(event, error);
  const json* pair = fields.object("kv");
  if (pair == nullptr) return fields.fail("a key");
  events.changes.push_back({key_value_of(*pair, error), fields.text("type") == "DELETE"});
}

std::string short_line(std::string_view text) {
  return base::one_line(text.substr(0, max_reason_bytes));
}

}  // namespace

std::string to_get(const std::string& key) { return dump(get_of(key)); }

std::string to_list(const std::string& prefix, const std::string& first, Revision revision,
                    std::size_t limit) {
  json list = {{"key", to_base64(first)},
               {"range_end", to_base64(end_of(prefix))},
               {"limit", std::to_string(limit)}};
  if (revision != 0) list["revision"] = std::to_string(revision);
  return dump(list);
}

std::string to_swap(const std::string& key, const std::string& value, Revision expected,
                    LeaseId lease) {
  const json unchanged = {{"key", to_base64(key)},
                          {"target", "MOD"},
                          {"result", "EQUAL"},
                          {"mod_revision", std::to_string(expected)}};
  return dump({{"compare", json::array({unchanged})},
               {"success", json::array({{{"request_put", put_of(key, value, lease)}}})},
               {"failure", json::array({{{"request_range", get_of(key)}}})}});
}

std::string to_grant(std::chrono::seconds ttl) {
  return dump({{"TTL", std::to_string(ttl.count())}});
}

std::string to_lease(LeaseId lease) { return dump({{"ID", std::to_string(lease)}}); }

std::string to_watch(const std::string& prefix, Revision first) {
  return dump({{"create_request",
                {{"key", to_base64(prefix)},
                 {"range_end", to_base64(end_of(prefix))},
                 {"start_revision", std::to_string(first)},
                 {"progress_notify", true},
                 {"fragment", true}}}});
}

std::string to_authenticate(const std::string& user, const std::string& password) {
  return dump({{"name", user}, {"password", password}});
}

base::Result<List> parse_list(std::string_view text) {
  Fields answer(text);
  List list;
  read_list(answer, list);
  return answer.result(std::move(list));
}

base::Result<Swap> parse_swap(std::string_view text) {
  Fields answer(text);
  Swap swap{.swapped = answer.flag("succeeded"), .revision = revision_of(answer)};
  const json* responses = answer.array("responses");
  if (!swap.swapped && responses != nullptr && !responses->empty()) {
    Fields response(responses->front(), answer.error());
    if (const json* range = response.object("response_range")) {
      Fields fields(*range, answer.error());
      List list;
      read_list(fields, list);
      if (!list.found.empty()) swap.found = std::move(list.found.front());
    }
  }
  return answer.result(std::move(swap));
}

base::Result<Lease> parse_lease(std::string_view text) {
  Fields answer(text);
  const auto read = [](Fields& fields) {
    const auto ttl = std::chrono::seconds(fields.number<std::uint32_t>("TTL"));
    const Lease lease{fields.number("ID"), ttl};
    if (lease.id == 0 || ttl > longest_lease) fields.fail("a lease");
    return lease;
  };
  // A keep-alive is answered as the first message of a stream.
  const json* message = answer.object("result");
  if (message == nullptr) return answer.result(read(answer));
  Fields fields(*message, answer.error());
  return answer.result(read(fields));
}

base::Result<WatchEvents> parse_watch(std::string_view text) {
  Fields answer(text);
  WatchEvents events;
  if (const json* error = answer.object("error")) {
    Fields fields(*error, answer.error());
    events.canceled = true;
    events.reason = short_line(fields.text("message"));
    return answer.result(std::move(events));
  }
  const json* result = answer.object("result");
  if (result == nullptr) {
    answer.fail("a result");
    return answer.result(std::move(events));
  }
  Fields fields(*result, answer.error());
  revision_of(fields);  // each message of etcd has it
  events.canceled = fields.flag("canceled");
  events.compacted = fields.number("compact_revision") != 0;
  events.reason = short_line(fields.text("cancel_reason"));
  if (const json* changes = fields.array("events")) {
    for (const json& each : *changes) read_change(each, events, answer.error());
  }
  return answer.result(std::move(events));
}

base::Result<std::string> parse_token(std::string_view text) {
  Fields answer(text);
  std::string token = answer.text("token");
  if (token.empty() || base::has_control(token)) answer.fail("a token");
  return answer.result(std::move(token));
}

Failure parse_failure(std::string_view json_text) {
  Fields answer(json_text);
  std::string text = answer.text("error");
  constexpr std::string_view speaker = "etcdserver: ";
  if (text.starts_with(speaker)) text.erase(0, speaker.size());
  Failure failure{.text = short_line(text)};
  const int code = answer.number<int>("code");
  for (const Code known : {Code::invalid, Code::not_found, Code::forbidden, Code::exhausted,
                           Code::precondition, Code::out_of_range, Code::unauthenticated}) {
    if (answer.error().empty() && code == static_cast<int>(known)) failure.code = known;
  }
  if (failure.text.empty()) failure.text = "not the answer of an etcd";
  return failure;
}

std::string to_json(const Holder& holder) {
  return dump({{"identity", holder.identity}, {"generation", holder.generation}});
}

base::Result<Holder> parse_holder(std::string_view text) {
  Fields fields(text);
  Holder holder{fields.text("identity"), fields.number<std::uint32_t>("generation")};
  return fields.result(std::move(holder));
}

std::string to_json(const Generations& generations) {
  return dump({{"last", generations.last}, {"record", generations.record}});
}

base::Result<Generations> parse_generations(std::string_view text) {
  Fields fields(text);
  Generations generations{fields.number<std::uint32_t>("last"), fields.text("record")};
  if (generations.record.empty()) fields.fail("a record");
  return fields.result(std::move(generations));
}

}  // namespace canopy::coordination::etcd
