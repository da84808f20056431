#include "core/config/reader.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/base/file_read.h"
#include "core/config/capacity.h"
#include "core/config/placement.h"
#include "core/config/tables.h"

namespace canopy::config {
namespace {

// Replaces yaml-cpp's messages about its internals by the remedy, for the usual errors.
std::string explain(const YAML::Exception& fault) {
  if (fault.msg == YAML::ErrorMsg::ALIAS_NOT_FOUND || fault.msg == YAML::ErrorMsg::CHAR_IN_ALIAS) {
    return "a bare * is not valid YAML here: write \"*\", in quotes";
  }
  return "not valid YAML: " + fault.msg;
}

// Counts documents. YAML::Load ignores all but the first without an error, and YAML::LoadAll loops
// forever on some malformed text.
class DocumentCounter final : public YAML::EventHandler {
 public:
  int count = 0;
  int last_line = 0;

  void OnDocumentStart(const YAML::Mark& mark) override {
    ++count;
    last_line = mark.line + 1;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

base::Result<Cluster> read_document(const std::string& text, const Place& top, ReadTo purpose) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentCounter documents;
  parser.HandleNextDocument(documents);
  parser.HandleNextDocument(documents);
  if (documents.count > 1) {
    return Place{top.file, documents.last_line, ""}.error("a second YAML document begins here");
  }
  Cluster cluster;
  cluster.file = top.file;
  Claims claims;
  const base::Status status = read_section(YAML::Load(text), top, cluster_table(), cluster, claims);
  if (!status) return base::Error{status.error()};
  if (const auto placed = place_partitions(cluster, claims); !placed) {
    return base::Error{placed.error()};
  }
  if (purpose == ReadTo::start) {
    if (const auto fits = check_capacity(cluster, claims); !fits) return base::Error{fits.error()};
  }
  const auto templates =
      std::stable_partition(cluster.proxies.begin(), cluster.proxies.end(),
                            [](const Proxy& proxy) { return !proxy.name.ends_with('*'); });
  cluster.proxy_templates.assign(templates, cluster.proxies.end());
  cluster.proxies.erase(templates, cluster.proxies.end());
  return cluster;
}

template <typename Named>
const Named* find_named(const std::vector<Named>& all, const std::string& name) {
  const auto found = std::ranges::find(all, name, &Named::name);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

base::Result<Cluster> parse_cluster(const std::string& text, const std::string& file_name,
                                    ReadTo purpose) {
  try {
    return read_document(text, {file_name, 1, ""}, purpose);
  } catch (const YAML::Exception& fault) {
    return Place{file_name, fault.mark.line + 1, ""}.error(explain(fault));
  }
}

base::Result<std::string> read_text(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (errno != 0) return base::Error{path + ": cannot be read: " + std::strerror(errno)};
  return text.str();
}

base::Result<Cluster> read_cluster(const std::string& path, ReadTo purpose) {
  const auto text = read_text(path);
  if (!text) return base::Error{text.error()};
  auto cluster = parse_cluster(*text, path, purpose);
  if (cluster) cluster->fingerprint = base::fingerprint(*text);
  return cluster;
}

Changes changes(const Cluster& running, const Cluster& wanted) {
  const auto as_written = [](Cluster cluster) {
    auto& templates = cluster.proxy_templates;
    cluster.proxies.insert(cluster.proxies.end(), templates.begin(), templates.end());
    return cluster;
  };
  Changes found;
  compare_sections(cluster_table(), as_written(running), as_written(wanted), "", found);
  return found;
}

std::vector<std::string> setting_keys() { return keys_of(cluster_table()); }

base::Status override_setting(Cluster& cluster, const std::string& key, const std::string& value,
                              const std::string& source) {
  const auto& table = cluster_table();
  const auto setting = std::ranges::find(table, key, &Setting<Cluster>::key);
  assert(setting != table.end());
  Claims none;
  return setting->read(YAML::Node(value), {"", 0, source}, cluster, none);
}

// Without `advertise`, a broker bound to every interface has its processes on the same machine.
Endpoint Broker::directory() const {
  return advertise.empty() ? base::on_this_machine(listen) : base::advertised(listen, advertise);
}

const Shard* Cluster::find_shard(const std::string& wanted) const {
  return find_named(shards, wanted);
}

const Proxy* Cluster::find_proxy(const std::string& wanted) const {
  return find_named(proxies, wanted);
}

const Partition* Cluster::find_partition(const std::string& subtree) const {
  const auto found = std::ranges::find(partitions, subtree, &Partition::subtree);
  return found == partitions.end() ? nullptr : &*found;
}

std::vector<const Partition*> Cluster::partitions_of(const std::string& shard) const {
  std::vector<const Partition*> kept;
  for (const Partition& partition : partitions) {
    if (std::ranges::find(partition.on, shard) != partition.on.end()) kept.push_back(&partition);
  }
  return kept;
}

}  // namespace canopy::config
