// The settings of coordination: where the directory is kept, and its timeouts.
#include "core/base/endpoint.h"
#include "core/config/reader.h"
#include "core/config/tables.h"
#include "core/keys/key_file.h"

namespace canopy::config {
namespace {

constexpr std::size_t max_endpoints = 16;
constexpr std::size_t max_text = 255;
constexpr std::string_view http_scheme = "http://";
constexpr std::string_view https_scheme = "https://";

base::Status check_url(const std::string& text) {
  const auto refused = [&](const std::string& why) {
    return base::Error{base::quoted(text) + " " + why};
  };
  const bool plain = text.starts_with(http_scheme);
  if (!plain && !text.starts_with(https_scheme)) {
    return refused("is not http://HOST:PORT or https://HOST:PORT");
  }
  const auto address =
      base::parse_http_address(text.substr(plain ? http_scheme.size() : https_scheme.size()));
  if (!address) return refused("is not http://HOST:PORT or https://HOST:PORT");
  if (!address->port) return refused("needs a port of 1 to 65535");
  if (base::is_any_host(address->host)) return refused("is no address to connect to");
  return {};
}

// Names such as those of processes, joined by '/'.
base::Status check_prefix(const std::string& text) {
  const base::Error refused{base::quoted(text) +
                            " is not up to 255 bytes of names (a-z, 0-9 and -) joined by '/'"};
  if (text.size() > max_text) return refused;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    if (!check_name(text.substr(start, end - start))) return refused;
    start = end + 1;
  }
  return {};
}

base::Status check_user(const std::string& text) {
  if (!text.empty() && text.size() <= max_text && !base::has_control(text)) return {};
  return base::Error{base::quoted(text) + " is not a name of 1 to 255 bytes"};
}

Setting<Etcd> endpoints() {
  const char* const help = "where the members of etcd listen for clients";
  const auto read = [help](const YAML::Node& node, const Place& place, Etcd& etcd,
                           Claims&) -> base::Status {
    const auto items = list_entries(node, place);
    if (!items) return base::Error{items.error()};
    if (items->empty() || items->size() > max_endpoints) {
      return place.error("needs 1 to " + std::to_string(max_endpoints) + " of them (" + help + ")");
    }
    for (const Entry& item : *items) {
      const auto url = as_text(item.value);
      const auto status = url ? check_url(*url) : base::Error{url.error()};
      if (!status) return item.place.error(status.error() + " (" + help + ")");
      if (std::ranges::find(etcd.endpoints, *url) != etcd.endpoints.end()) {
        return item.place.error(base::quoted(*url) + " is given twice");
      }
      etcd.endpoints.push_back(*url);
    }
    return {};
  };
  const auto differs = [](const Etcd& running, const Etcd& wanted) {
    return running.endpoints != wanted.endpoints;
  };
  return required(
      Setting<Etcd>{.key = "endpoints", .help = help, .read = read, .differs = differs});
}

base::Status check_password(const std::string& path) {
  if (auto status = keys::check_private(path); !status) return status;
  const auto text = read_text(path);
  if (!text) return base::Error{text.error()};
  if (text->empty() || text->front() == '\n' || text->front() == '\r') {
    return base::Error{path + ": its first line holds no password"};
  }
  return {};
}

Setting<Etcd> password_file() {
  const char* const help = "file whose first line is the password of `user`";
  const auto read = [help](const YAML::Node& node, const Place& place, Etcd& etcd,
                           Claims&) -> base::Status {
    const auto path = as_text(node);
    if (!path) return place.error(path.error() + " (" + help + ")");
    etcd.password_file = place.beside(*path);
    const auto status = check_password(etcd.password_file);
    return status ? status : place.error(status.error());
  };
  const auto differs = [](const Etcd& running, const Etcd& wanted) {
    return running.password_file != wanted.password_file;
  };
  return {.key = "password_file", .help = help, .read = read, .differs = differs};
}

// A PEM file; only the owner may have access to a secret one.
Setting<Etcd> pem_file(const char* key, std::string Etcd::*member, bool secret, const char* help) {
  const auto read = [=](const YAML::Node& node, const Place& place, Etcd& etcd,
                        Claims&) -> base::Status {
    const auto name = as_text(node);
    if (!name) return place.error(name.error() + " (" + help + ")");
    const std::string path = place.beside(*name);
    if (const auto status = secret ? keys::check_private(path) : base::Status{}; !status) {
      return place.error(status.error());
    }
    const auto text = read_text(path);
    if (!text) return place.error(text.error());
    if (text->find("-----BEGIN ") == std::string::npos) {
      return place.error(path + ": is not a PEM file");
    }
    etcd.*member = path;
    return {};
  };
  const auto differs = [member](const Etcd& running, const Etcd& wanted) {
    return running.*member != wanted.*member;
  };
  const auto claim = [](const Etcd& etcd, const Place& place, Claims&) -> base::Status {
    const auto plain = std::ranges::find_if(
        etcd.endpoints, [](const auto& url) { return url.starts_with(http_scheme); });
    if (place.line == 0 || plain == etcd.endpoints.end()) return {};
    return place.error("is for https alone, and an endpoint is " + *plain);
  };
  return claiming(Setting<Etcd>{.key = key, .help = help, .read = read, .differs = differs}, claim);
}

// Two settings that need each other: refuses `setting` if `other` is missing.
Setting<Etcd> together(Setting<Etcd> setting, std::string Etcd::*other, const char* key) {
  const auto claim = [=, own = setting.claim](const Etcd& etcd, const Place& place,
                                              Claims& claims) -> base::Status {
    if (place.line > 0 && (etcd.*other).empty()) {
      return place.error(std::string("needs `") + key + "` beside it");
    }
    return own ? own(etcd, place, claims) : base::Status{};
  };
  return claiming(std::move(setting), claim);
}

const Table<Etcd>& etcd_table() {
  static const Table<Etcd> table = {
      endpoints(),
      text("prefix", &Etcd::prefix, check_prefix, "what all keys of the cluster begin with"),
      together(text("user", &Etcd::user, check_user, "user of etcd"), &Etcd::password_file,
               "password_file"),
      together(password_file(), &Etcd::user, "user"),
      pem_file("ca_file", &Etcd::ca_file, false, "authority of etcd's certificate"),
      together(pem_file("cert_file", &Etcd::cert_file, false, "certificate of Canopy for etcd"),
               &Etcd::key_file, "key_file"),
      together(pem_file("key_file", &Etcd::key_file, true, "secret key of the certificate"),
               &Etcd::cert_file, "cert_file"),
  };
  return table;
}

// Its presence has a meaning, like that of `security`.
Setting<Coordination> etcd() {
  const auto read = [](const YAML::Node& node, const Place& place, Coordination& coordination,
                       Claims& claims) -> base::Status {
    if (node.IsScalar() && node.Scalar() == "off") return {};
    return read_section(node, place, etcd_table(), coordination.etcd.emplace(), claims);
  };
  const auto compare = [](const Coordination& running, const Coordination& wanted,
                          const std::string& path, Changes& changes) {
    if (running.etcd && wanted.etcd) {
      compare_sections(etcd_table(), *running.etcd, *wanted.etcd, path, changes);
    } else if (running.etcd != wanted.etcd) {
      changes.fixed.emplace_back(path, 0, path.size() - 1);
    }
  };
  return {.key = "etcd",
          .help = "where etcd is that keeps the directory; or off",
          .read = read,
          .compare = compare};
}

const Table<Coordination>& coordination_table() {
  static const Table<Coordination> table = {
      etcd(),
      duration("lease_ms", &Coordination::lease, 100, 600'000,
               "a process that sends nothing for longer counts as dead"),
      duration("replica_lag_ms", &Coordination::replica_lag, 100, 600'000,
               "a replica behind for longer leaves the in-sync set"),
      duration("prefer_after_ms", &Coordination::prefer_after, 0, 3'600'000,
               "in sync for so long, the preferred replica leads again"),
  };
  return table;
}

}  // namespace

Setting<Cluster> coordination() {
  auto setting = section("coordination", &Cluster::coordination, coordination_table(),
                         "where the directory is kept, and its timeouts; or local");
  setting.read = [read = setting.read](const YAML::Node& node, const Place& place, Cluster& cluster,
                                       Claims& claims) -> base::Status {
    if (node.IsScalar() && node.Scalar() == "local") return {};
    return read(node, place, cluster, claims);
  };
  return setting;
}

}  // namespace canopy::config
