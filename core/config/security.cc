#include "core/config/tables.h"
#include "core/keys/key_file.h"

namespace canopy::config {
namespace {

constexpr const char* server_key_note = "security.server_key";

Setting<Security> server_key() {
  const char* const key = "server_key";
  const char* const help = "file of the key pair of all processes of the cluster";
  const auto read = [help](const YAML::Node& node, const Place& place, Security& security,
                           Claims& claims) -> base::Status {
    const auto path = as_text(node);
    if (!path) return place.error(path.error() + " (" + help + ")");
    auto pair = keys::read_key_pair(place.beside(*path));
    if (!pair) return place.error(pair.error());
    security.server_key = std::move(*pair);
    claims.note(server_key_note, place);
    return claims.key(security.server_key.public_key, "the cluster", place);
  };
  const auto differs = [](const Security& running, const Security& wanted) {
    return running.server_key != wanted.server_key;
  };
  return required(Setting<Security>{.key = key, .help = help, .read = read, .differs = differs});
}

Setting<Security> clients() {
  const char* const help = "the clients that may connect";
  auto setting =
      sections("clients", &Security::clients, &access::Client::name, true, client_table(), help);
  setting.compare = [](const Security& running, const Security& wanted, const std::string& path,
                       Changes& changes) {
    if (running.clients != wanted.clients) changes.live.emplace_back(path, 0, path.size() - 1);
  };
  return setting;
}

Setting<access::Client> name() {
  return claiming(required(text("name", &access::Client::name, check_name, "name of the client")),
                  [](const access::Client& client, const Place& place, Claims& claims) {
                    return claims.client(client.name, place);
                  });
}

// The key itself, or the file that holds it.
Setting<access::Client> public_key() {
  const char* const help = "its public key: a file, or the 40 characters";
  const auto read = [help](const YAML::Node& node, const Place& place, access::Client& client,
                           Claims&) -> base::Status {
    const auto value = as_text(node);
    if (!value) return place.error(value.error() + " (" + help + ")");
    auto key = keys::public_key_of(*value, place.beside(*value));
    if (!key) return place.error(key.error());
    client.public_key = std::move(*key);
    return {};
  };
  const auto differs = [](const access::Client& running, const access::Client& wanted) {
    return running.public_key != wanted.public_key;
  };
  return claiming(required(Setting<access::Client>{
                      .key = "public_key", .help = help, .read = read, .differs = differs}),
                  [](const access::Client& client, const Place& place, Claims& claims) {
                    return claims.key(client.public_key, "the client '" + client.name + "'", place);
                  });
}

Setting<access::Client> subtrees(const char* key, std::vector<std::string> access::Client::*member,
                                 const char* help) {
  const auto read = [member, help](const YAML::Node& node, const Place& place,
                                   access::Client& client, Claims&) -> base::Status {
    const auto items = list_entries(node, place);
    if (!items) return base::Error{items.error()};
    for (const Entry& item : *items) {
      const auto value = as_text(item.value);
      const auto status = value ? check_subtree(*value) : base::Error{value.error()};
      if (!status) return item.place.error(status.error() + " (" + help + ")");
      (client.*member).push_back(*value == "*" ? "" : *value);
    }
    return {};
  };
  const auto differs = [member](const access::Client& running, const access::Client& wanted) {
    return running.*member != wanted.*member;
  };
  return {.key = key, .help = help, .read = read, .differs = differs};
}

}  // namespace

const Table<access::Client>& client_table() {
  static const Table<access::Client> table = {
      name(),
      public_key(),
      subtrees("read", &access::Client::read, "subtrees that it may read, or \"*\""),
      subtrees("write", &access::Client::write, "subtrees that it may write to, or \"*\""),
      flag("admin", &access::Client::admin,
           "may drain proxies, reload the file, elect replicas, move and split partitions"),
  };
  return table;
}

const Table<Security>& security_table() {
  static const Table<Security> table = {server_key(), clients()};
  return table;
}

Setting<Cluster> security() {
  const auto read = [](const YAML::Node& node, const Place& place, Cluster& cluster,
                       Claims& claims) -> base::Status {
    if (node.IsScalar() && node.Scalar() == "off") return {};
    auto status = read_section(node, place, security_table(), cluster.security.emplace(), claims);
    if (status) cluster.server_key_line = claims.noted(server_key_note).line;
    return status;
  };
  const auto compare = [](const Cluster& running, const Cluster& wanted, const std::string& path,
                          Changes& changes) {
    if (running.security && wanted.security) {
      compare_sections(security_table(), *running.security, *wanted.security, path, changes);
    } else if (running.security != wanted.security) {
      changes.fixed.emplace_back("security");
    }
  };
  return {.key = "security",
          .help = "the clients that may connect, and their permissions; or off",
          .read = read,
          .compare = compare};
}

}  // namespace canopy::config
