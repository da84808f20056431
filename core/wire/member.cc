#include "core/wire/member.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace canopy::wire {
namespace {

using nlohmann::json;

constexpr std::size_t max_revisions_bytes = std::size_t{64} << 10;

// Bytes that are not UTF-8 are replaced; the default would throw.
std::string dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Every process sends this each second, so it is left out beyond this many partitions.
bool are_few(const std::map<std::string, std::uint64_t>& revisions) {
  std::size_t bytes = 0;
  for (const auto& [subtree, revision] : revisions) bytes += subtree.size() + 24;
  return bytes <= max_revisions_bytes;
}

json to_document(const Triple& triple) {
  return {
      {"snapshot", triple.snapshot}, {"updates", triple.updates}, {"collector", triple.collector}};
}

// Reads the fields of one object; ignores unknown fields; absent fields keep their defaults.
class Fields {
 public:
  Fields(const json& object, std::string path, base::Status& status)
      : object_(object), path_(std::move(path)), status_(status) {
    if (!object_.is_object()) fail(path_.empty() ? "member" : path_, "an object");
  }

  void read(const char* field, std::string& text) {
    const json* value = find(field);
    if (value == nullptr) return;
    if (!value->is_string()) return fail(name(field), "a string");
    text = value->get<std::string>();
  }

  template <typename Integer>
  void read(const char* field, Integer& number) {
    const json* value = find(field);
    if (value == nullptr) return;
    if (!value->is_number_integer()) return fail(name(field), "an integer");
    const bool fits = value->is_number_unsigned()
                          ? std::in_range<Integer>(value->get<std::uint64_t>())
                          : std::in_range<Integer>(value->get<std::int64_t>());
    if (!fits) return fail(name(field), "an integer in range");
    number = value->get<Integer>();
  }

  void read(const char* field, std::optional<Triple>& triple) {
    const json* value = find(field);
    if (value == nullptr) return;
    Fields fields(*value, name(field), status_);
    Triple& taken = triple.emplace();
    fields.read("snapshot", taken.snapshot);
    fields.read("updates", taken.updates);
    fields.read("collector", taken.collector);
  }

  void read(const char* field, std::map<std::string, std::uint64_t>& numbers) {
    const json* value = find(field);
    if (value == nullptr) return;
    if (!value->is_object()) return fail(name(field), "an object");
    Fields fields(*value, name(field), status_);
    for (const auto& [key, number] : value->items()) fields.read(key.c_str(), numbers[key]);
  }

  void read(const char* field, std::vector<PartitionState>& partitions) {
    const json* value = find(field);
    if (value == nullptr) return;
    if (!value->is_array()) return fail(name(field), "an array");
    for (const json& each : *value) {
      Fields fields(each, name(field) + "[" + std::to_string(partitions.size()) + "]", status_);
      PartitionState& partition = partitions.emplace_back();
      fields.read("subtree", partition.subtree);
      fields.read("state", partition.state);
      fields.read("epoch", partition.epoch);
    }
  }

 private:
  const json* find(const char* field) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(field);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string name(const char* field) const {
    return path_.empty() ? std::string(field) : path_ + "." + field;
  }
  void fail(const std::string& field, const std::string& expected) {
    if (status_) status_ = base::Error{"'" + field + "' is not " + expected};
  }

  const json& object_;
  std::string path_;
  base::Status& status_;
};

template <typename Member, typename Read>
base::Result<Member> parse(const std::string& text, Read read) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return base::Error{"not JSON"};
  base::Status status;
  Member member;
  Fields fields(document, "", status);
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
  json partitions = json::array();
  for (const PartitionState& partition : member.partitions) {
    partitions.push_back(
        {{"subtree", partition.subtree}, {"state", partition.state}, {"epoch", partition.epoch}});
  }
  return dump({{"name", member.name},
               {"pid", member.pid},
               {"http", member.http},
               {"requests", member.requests},
               {"updates", member.updates},
               {"partitions", std::move(partitions)}});
}

std::string to_json(const ProxyMember& member) {
  json document = {{"name", member.name},       {"pid", member.pid},
                   {"http", member.http},       {"state", member.state},
                   {"clients", member.clients}, {"max_clients", member.max_clients}};
  if (!member.native.empty()) document["native"] = member.native;
  if (member.kvsimple) document["kvsimple"] = to_document(*member.kvsimple);
  if (member.kvmsg) document["kvmsg"] = to_document(*member.kvmsg);
  if (member.chp) document["chp"] = to_document(*member.chp);
  return dump(document);
}

std::string to_json(const Vitals& vitals) {
  return dump({{"name", vitals.name},
               {"fds", vitals.fds},
               {"max_fds", vitals.max_fds},
               {"clients", vitals.clients},
               {"drops", vitals.drops},
               {"revisions", are_few(vitals.revisions) ? json(vitals.revisions) : json::object()},
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
