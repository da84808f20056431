// The elements of the tables of settings. A Setting is one key of one section with its type, bounds
// and help, and reads its value into the section's struct.
#pragma once

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/text.h"
#include "core/config/changes.h"
#include "core/config/claims.h"
#include "core/keyspace/key.h"

namespace canopy::config {

template <typename Section>
struct Setting {
  std::string key;
  std::string help;
  std::function<base::Status(const YAML::Node&, const Place&, Section&, Claims&)> read;
  bool required = false;
  // Claims the value, given or default; empty: the setting claims nothing.
  std::function<base::Status(const Section&, const Place&, Claims&)> claim = {};
  std::vector<std::string> nested_keys = {};  // of a section inside this one: "listen", …
  bool live = false;                          // a running process can apply a new value
  // Whether the running section and the wanted one have different values; of a scalar.
  std::function<bool(const Section&, const Section&)> differs = {};
  // Adds the differences of a section or list. `path` is that of the setting.
  std::function<void(const Section&, const Section&, const std::string& path, Changes&)> compare =
      {};
};

template <typename Section>
using Table = std::vector<Setting<Section>>;

template <typename Value>
using Choices = std::vector<std::pair<std::string, Value>>;

struct Entry {
  std::string key;
  YAML::Node value;
  Place place;
};

// The value of a node, or an error without its place.
base::Result<std::string> as_text(const YAML::Node& node);
base::Result<std::int64_t> as_integer(const YAML::Node& node, std::int64_t minimum,
                                      std::int64_t maximum);
base::Result<bool> as_flag(const YAML::Node& node);
// The entries of a section; an empty section has none. The errors include the place.
base::Result<std::vector<Entry>> section_entries(const YAML::Node& node, const Place& place);
base::Result<std::vector<Entry>> list_entries(const YAML::Node& node, const Place& place);
Place inner(const Place& place, const std::string& key, int line);

// A setting with one scalar in `member`: `parse` reads the value from a node, `store` puts it into
// the section.
template <typename Section, typename Member, typename Parse, typename Store>
Setting<Section> scalar(const std::string& key, Member Section::*member, const std::string& help,
                        Parse parse, Store store) {
  const auto read = [help, parse, store](const YAML::Node& node, const Place& place,
                                         Section& section, Claims&) -> base::Status {
    const auto value = parse(node);
    if (!value) return place.error(value.error() + " (" + help + ")");
    store(section, *value);
    return {};
  };
  const auto differs = [member](const Section& running, const Section& wanted) {
    return running.*member != wanted.*member;
  };
  return {.key = key, .help = help, .read = read, .differs = differs};
}

template <typename Section, typename Number>
Setting<Section> number(const std::string& key, Number Section::*member, std::int64_t minimum,
                        std::int64_t maximum, const std::string& help) {
  return scalar<Section>(
      key, member, help,
      [minimum, maximum](const YAML::Node& node) { return as_integer(node, minimum, maximum); },
      [member](Section& section, std::int64_t value) {
        section.*member = static_cast<Number>(value);
      });
}

// A duration; its key ends with _ms.
template <typename Section>
Setting<Section> duration(const std::string& key, std::chrono::milliseconds Section::*member,
                          std::int64_t minimum, std::int64_t maximum, const std::string& help) {
  return scalar<Section>(
      key, member, help,
      [minimum, maximum](const YAML::Node& node) { return as_integer(node, minimum, maximum); },
      [member](Section& section, std::int64_t value) {
        section.*member = std::chrono::milliseconds(value);
      });
}

template <typename Section>
Setting<Section> flag(const std::string& key, bool Section::*member, const std::string& help) {
  return scalar<Section>(key, member, help, as_flag,
                         [member](Section& section, bool value) { section.*member = value; });
}

// `Text` is a std::string or an optional one; `check` returns the text's error.
template <typename Section, typename Text>
Setting<Section> text(const std::string& key, Text Section::*member,
                      base::Status (*check)(const std::string&), const std::string& help) {
  return scalar<Section>(
      key, member, help,
      [check](const YAML::Node& node) -> base::Result<std::string> {
        auto value = as_text(node);
        if (!value) return value;
        if (const base::Status status = check(*value); !status) return base::Error{status.error()};
        return value;
      },
      [member](Section& section, const std::string& value) { section.*member = value; });
}

template <typename Section, typename Value>
Setting<Section> choice(const std::string& key, Value Section::*member, Choices<Value> choices,
                        const std::string& help) {
  return scalar<Section>(
      key, member, help,
      [choices](const YAML::Node& node) -> base::Result<Value> {
        const auto word = as_text(node);
        if (!word) return base::Error{word.error()};
        std::string known;
        for (const auto& [name, value] : choices) {
          if (name == *word) return value;
          known += (known.empty() ? "" : ", ") + name;
        }
        return base::Error{base::quoted(*word) + " is none of " + known};
      },
      [member](Section& section, const Value& value) { section.*member = value; });
}

template <typename Section>
Setting<Section> word(const std::string& key, std::string Section::*member,
                      const std::vector<std::string>& words, const std::string& help) {
  Choices<std::string> choices;
  for (const std::string& each : words) choices.emplace_back(each, each);
  return choice(key, member, std::move(choices), help);
}

template <typename Section>
Setting<Section> required(Setting<Section> setting) {
  setting.required = true;
  return setting;
}

template <typename Section>
Setting<Section> live(Setting<Section> setting) {
  setting.live = true;
  return setting;
}

template <typename Section, typename Claim>
Setting<Section> claiming(Setting<Section> setting, Claim claim) {
  setting.claim = std::move(claim);
  return setting;
}

template <typename Section>
std::vector<std::string> keys_of(const Table<Section>& table) {
  std::vector<std::string> keys;
  for (const auto& setting : table) {
    keys.push_back(setting.key);
    for (const auto& nested : setting.nested_keys) keys.push_back(setting.key + "." + nested);
  }
  return keys;
}

// Fills `section` from the mapping `node`, and claims its values.
template <typename Section>
base::Status read_section(const YAML::Node& node, const Place& place, const Table<Section>& table,
                          Section& section, Claims& claims) {
  const auto entries = section_entries(node, place);
  if (!entries) return base::Error{entries.error()};
  for (const Entry& entry : *entries) {
    const auto setting = std::ranges::find(table, entry.key, &Setting<Section>::key);
    if (setting == table.end()) {
      if (place.key.empty() && entry.key.starts_with("x-")) continue;  // for anchors
      std::string known;
      for (const auto& other : table) known += (known.empty() ? "" : ", ") + other.key;
      return entry.place.error("unknown key; known here: " + known);
    }
    if (auto status = setting->read(entry.value, entry.place, section, claims); !status) {
      return status;
    }
  }
  for (const auto& setting : table) {
    const auto given = std::ranges::find(*entries, setting.key, &Entry::key);
    if (given == entries->end() && setting.required) {
      return inner(place, setting.key, place.line).error("is missing (" + setting.help + ")");
    }
    const Place where = given == entries->end() ? inner(place, setting.key, 0) : given->place;
    if (given == entries->end() && !setting.nested_keys.empty()) {  // its defaults claim too
      if (auto status = setting.read({}, where, section, claims); !status) return status;
    }
    if (!setting.claim) continue;
    if (auto status = setting.claim(section, where, claims); !status) return status;
  }
  return {};
}

using keyspace::shown;

template <typename Section>
void compare_sections(const Table<Section>& table, const Section& running, const Section& wanted,
                      const std::string& path, Changes& changes) {
  for (const auto& setting : table) {
    const std::string key = path + setting.key;
    if (setting.compare) {
      setting.compare(running, wanted, key + ".", changes);
    } else if (setting.differs(running, wanted)) {
      (setting.live ? changes.live : changes.fixed).push_back(key);
    }
  }
}

// A section inside a section.
template <typename Outer, typename Section>
Setting<Outer> section(const std::string& key, Section Outer::*member, const Table<Section>& table,
                       const std::string& help) {
  const auto read = [member, &table](const YAML::Node& node, const Place& place, Outer& outer,
                                     Claims& claims) {
    return read_section(node, place, table, outer.*member, claims);
  };
  const auto compare = [member, &table](const Outer& running, const Outer& wanted,
                                        const std::string& path, Changes& changes) {
    compare_sections(table, running.*member, wanted.*member, path, changes);
  };
  return {
      .key = key, .help = help, .read = read, .nested_keys = keys_of(table), .compare = compare};
}

// A list of sections, distinguished by `id`. An added section is a live change if `may_grow`.
template <typename Outer, typename Section>
Setting<Outer> sections(const std::string& key, std::vector<Section> Outer::*member,
                        std::string Section::*id, bool may_grow, const Table<Section>& table,
                        const std::string& help) {
  const auto read = [member, &table](const YAML::Node& node, const Place& place, Outer& outer,
                                     Claims& claims) -> base::Status {
    const auto items = list_entries(node, place);
    if (!items) return base::Error{items.error()};
    for (const Entry& item : *items) {
      auto& filled = (outer.*member).emplace_back();
      if (auto status = read_section(item.value, item.place, table, filled, claims); !status) {
        return status;
      }
    }
    return {};
  };
  const auto compare = [member, id, may_grow, &table](const Outer& running, const Outer& wanted,
                                                      const std::string& path, Changes& changes) {
    for (const Section& section : running.*member) {
      const auto same = std::ranges::find(wanted.*member, section.*id, id);
      if (same == (wanted.*member).end()) {
        changes.fixed.push_back(path + shown(section.*id) + " (removed)");
      } else {
        compare_sections(table, section, *same, path + shown(section.*id) + ".", changes);
      }
    }
    for (const Section& section : wanted.*member) {
      if (std::ranges::find(running.*member, section.*id, id) != (running.*member).end()) continue;
      (may_grow ? changes.live : changes.fixed).push_back(path + shown(section.*id) + " (added)");
    }
  };
  return {
      .key = key, .help = help, .read = read, .nested_keys = keys_of(table), .compare = compare};
}

}  // namespace canopy::config
