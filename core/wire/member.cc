#include "core/wire/member.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/json.h"

namespace canopy::wire {
namespace {

namespace json = base::json;

constexpr std::size_t max_revisions_bytes = std::size_t{64} << 10;

// Said each second by every process, so of very many partitions it is left out.
bool are_few(const std::map<std::string, std::uint64_t>& revisions) {
  std::size_t bytes = 0;
  for (const auto& [subtree, revision] : revisions) bytes += subtree.size() + 24;
  return bytes <= max_revisions_bytes;
}

json::Object to_document(const Triple& triple) {
  return {
      {"snapshot", triple.snapshot}, {"updates", triple.updates}, {"collector", triple.collector}};
}

// Reads the fields of one object; unknown ones are left alone, absent ones keep their defaults.
class Fields {
 public:
  Fields(const json::Value& value, std::string path, base::Status& status)
      : object_(std::get_if<json::Object>(&value)), path_(std::move(path)), status_(status) {
    if (object_ == nullptr) fail(path_.empty() ? "member" : path_, "an object");
  }

  void read(const char* field, std::string& text) {
    if (const auto* value = find<std::string>(field, "a string")) text = *value;
  }

  template <typename Integer>
  void read(const char* field, Integer& number) {
    const json::Value* value = find(field);
    if (value == nullptr) return;
    const auto* natural = std::get_if<std::uint64_t>(value);
    const auto* integer = std::get_if<std::int64_t>(value);
    if (natural == nullptr && integer == nullptr) return fail(name(field), "an integer");
    const bool fits =
        natural != nullptr ? std::in_range<Integer>(*natural) : std::in_range<Integer>(*integer);
    if (!fits) return fail(name(field), "an integer in range");
    number =
        static_cast<Integer>(natural != nullptr ? *natural : static_cast<std::uint64_t>(*integer));
  }

  void read(const char* field, std::optional<Triple>& triple) {
    const json::Value* value = find(field);
    if (value == nullptr) return;
    Fields fields(*value, name(field), status_);
    Triple& parsed = triple.emplace();
    fields.read("snapshot", parsed.snapshot);
    fields.read("updates", parsed.updates);
    fields.read("collector", parsed.collector);
  }

  void read(const char* field, std::map<std::string, std::uint64_t>& numbers) {
    const json::Value* value = find(field);
    if (value == nullptr) return;
    Fields fields(*value, name(field), status_);
    if (fields.object_ == nullptr) return;
    for (const auto& [key, number] : *fields.object_) fields.read(key.c_str(), numbers[key]);
  }

  void read(const char* field, std::vector<PartitionState>& partitions) {
    const auto* values = find<json::Array>(field, "an array");
    if (values == nullptr) return;
    for (const json::Value& each : *values) {
      Fields fields(each, name(field) + "[" + std::to_string(partitions.size()) + "]", status_);
      PartitionState& partition = partitions.emplace_back();
      fields.read("subtree", partition.subtree);
      fields.read("state", partition.state);
      fields.read("epoch", partition.epoch);
    }
  }

 private:
  const json::Value* find(const char* field) const {
    if (object_ == nullptr) return nullptr;
    const auto found = object_->find(field);
    if (found == object_->end()) return nullptr;
    return std::holds_alternative<std::nullptr_t>(found->second) ? nullptr : &found->second;
  }
  template <typename Type>
  const Type* find(const char* field, const char* expected) {
    const json::Value* value = find(field);
    const Type* const typed = value == nullptr ? nullptr : std::get_if<Type>(value);
    if (value != nullptr && typed == nullptr) fail(name(field), expected);
    return typed;
  }
  std::string name(const char* field) const {
    return path_.empty() ? std::string(field) : path_ + "." + field;
  }
  void fail(const std::string& field, const std::string& expected) {
    if (status_) status_ = base::Error{"'" + field + "' is not " + expected};
  }

  const json::Object* object_;  // null: it is none, which status_ says
  std::string path_;
  base::Status& status_;
};

template <typename Member, typename Read>
base::Result<Member> parse(const std::string& text, Read read) {
  const auto document = json::parse(text);
  if (!document) return base::Error{"not JSON"};
  base::Status status;
  Member member;
  Fields fields(*document, "", status);
  read(fields, member);
  if (!status) return base::Error{status.error()};
  if (member.name.empty()) return base::Error{"'name' is missing"};
  return member;
}

}  // namespace

std::string state_of(const ShardMember& shard) {
  constexpr std::array worst_first = {"down", "failed", "waiting", "loading", "full"};
  for (const char* word : worst_first) {
    const auto says = [&](const PartitionState& partition) {
      return partition.state.starts_with(word);
    };
    if (std::ranges::any_of(shard.partitions, says)) return word;
  }
  return "ready";
}

std::string to_json(const ShardMember& member) {
  json::Array partitions;
  for (const PartitionState& partition : member.partitions) {
    partitions.emplace_back(json::Object{{"subtree", partition.subtree},
                                         {"state", partition.state},
                                         {"epoch", std::uint64_t{partition.epoch}}});
  }
  return json::dump(json::Object{{"name", member.name},
                                 {"pid", member.pid},
                                 {"http", member.http},
                                 {"requests", member.requests},
                                 {"updates", member.updates},
                                 {"partitions", std::move(partitions)}});
}

std::string to_json(const ProxyMember& member) {
  json::Object document = {{"name", member.name},       {"pid", member.pid},
                           {"http", member.http},       {"state", member.state},
                           {"clients", member.clients}, {"max_clients", member.max_clients}};
  if (!member.native.empty()) document["native"] = member.native;
  if (member.kvsimple) document["kvsimple"] = to_document(*member.kvsimple);
  if (member.kvmsg) document["kvmsg"] = to_document(*member.kvmsg);
  if (member.chp) document["chp"] = to_document(*member.chp);
  return json::dump(document);
}

std::string to_json(const Vitals& vitals) {
  return json::dump(json::Object{
      {"name", vitals.name},
      {"fds", vitals.fds},
      {"max_fds", vitals.max_fds},
      {"clients", vitals.clients},
      {"drops", vitals.drops},
      {"revisions", are_few(vitals.revisions)
                        ? json::Object(vitals.revisions.begin(), vitals.revisions.end())
                        : json::Object()},
      {"uptime_ms", vitals.uptime_ms},
      {"updates", vitals.updates},
      {"config", vitals.file.fingerprint},
      {"reloads", vitals.file.number},
      {"reload_refused", vitals.file.refused},
      {"deliveries", vitals.deliveries},
      {"delivered_bytes", vitals.delivered_bytes},
      {"flush_interval_us", vitals.flush_interval_us}});
}

base::Result<ShardMember> parse_shard_member(const std::string& text) {
  return parse<ShardMember>(text, [](Fields& fields, ShardMember& member) {
    fields.read("name", member.name);
    fields.read("pid", member.pid);
    fields.read("http", member.http);
    fields.read("requests", member.requests);
    fields.read("updates", member.updates);
    fields.read("partitions", member.partitions);
  });
}

base::Result<ProxyMember> parse_proxy_member(const std::string& text) {
  return parse<ProxyMember>(text, [](Fields& fields, ProxyMember& member) {
    fields.read("name", member.name);
    fields.read("pid", member.pid);
    fields.read("http", member.http);
    fields.read("state", member.state);
    fields.read("clients", member.clients);
    fields.read("max_clients", member.max_clients);
    fields.read("native", member.native);
    fields.read("kvsimple", member.kvsimple);
    fields.read("kvmsg", member.kvmsg);
    fields.read("chp", member.chp);
  });
}

base::Result<Vitals> parse_vitals(const std::string& text) {
  return parse<Vitals>(text, [](Fields& fields, Vitals& vitals) {
    fields.read("name", vitals.name);
    fields.read("fds", vitals.fds);
    fields.read("max_fds", vitals.max_fds);
    fields.read("clients", vitals.clients);
    fields.read("drops", vitals.drops);
    fields.read("revisions", vitals.revisions);
    fields.read("uptime_ms", vitals.uptime_ms);
    fields.read("updates", vitals.updates);
    fields.read("config", vitals.file.fingerprint);
    fields.read("reloads", vitals.file.number);
    fields.read("reload_refused", vitals.file.refused);
    fields.read("deliveries", vitals.deliveries);
    fields.read("delivered_bytes", vitals.delivered_bytes);
    fields.read("flush_interval_us", vitals.flush_interval_us);
  });
}

}  // namespace canopy::wire
