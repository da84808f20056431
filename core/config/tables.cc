#include "core/config/tables.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/keyspace/key.h"

namespace canopy::config {
namespace {

constexpr std::int64_t one_day_ms = std::int64_t{24} * 60 * 60 * 1000;
constexpr std::int64_t max_nofile = 1 << 20;
constexpr std::int64_t max_buffer = std::numeric_limits<int>::max();
// Bounds of the queues between processes, in bytes.
constexpr std::int64_t min_queue_bytes = 64 << 10;
// Least queue of a client, in bytes: above the largest batch, with an update of the largest value.
constexpr std::int64_t min_client_queue_bytes = 4 << 20;
constexpr std::int64_t max_queue_bytes = std::int64_t{1} << 40;
constexpr std::size_t max_entry_name = 63;
constexpr std::size_t max_path = 3000;  // the rest of PATH_MAX is for files below it
constexpr std::size_t max_path_part = 255;

bool is_template(const std::string& name) { return name.ends_with('*'); }

// A name, or a prefix of names and a `*`.
base::Status check_proxy_name(const std::string& text) {
  if (is_template(text) && text.size() > max_entry_name) {
    return base::Error{base::quoted(text) + " leaves no room for what the * stands for"};
  }
  return check_name(is_template(text) ? text.substr(0, text.size() - 1) : text);
}

// Shards create folders below it, whose names have up to 255 bytes.
base::Status check_path(const std::string& text) {
  const auto refused = [&](const std::string& why) {
    return base::Error{base::quoted(text) + " " + why};
  };
  if (text.empty()) return refused("is not a path");
  if (base::has_control(text)) return refused("holds a control character");
  if (text == "~" || text.starts_with("~/")) {
    return refused("begins with ~, which a shell replaces and Canopy does not: write the folder");
  }
  if (text.size() > max_path) {
    return refused("is longer than " + std::to_string(max_path) + " bytes");
  }
  for (const auto& part : std::filesystem::path(text)) {
    if (part.string().size() > max_path_part) {
      return refused("has a part of more than " + std::to_string(max_path_part) + " bytes");
    }
  }
  return {};
}

template <typename Section>
Setting<Section> name(const std::string& help,
                      base::Status (*check)(const std::string&) = check_name) {
  return claiming(text("name", &Section::name, check, help),
                  [](const Section& section, const Place& place, Claims& claims) {
                    return claims.name(section.name, place);
                  });
}

template <typename Section>
Setting<Section> http() {
  return claiming(text("http", &Section::http, base::check_http_address,
                       "HOST:PORT of /metrics, /livez, /readyz"),
                  [](const Section& section, const Place& place, Claims& claims) {
                    return claims.address(section.http, *base::parse_http_address(section.http), 1,
                                          place);
                  });
}

template <typename Section>
Setting<Section> endpoint(const std::string& key, Endpoint Section::*member,
                          base::Status (*check)(const std::string&), const std::string& help) {
  return claiming(text(key, member, check, help),
                  [member](const Section& section, const Place& place, Claims& claims) {
                    const Endpoint& value = section.*member;
                    return claims.address(value, *base::parse_endpoint(value), 1, place);
                  });
}

Setting<Proxy> dialect(const std::string& key, std::optional<Endpoint> Proxy::*member) {
  return claiming(
      text(key, member, base::check_triple_endpoint, "first of the three ports of the dialect"),
      [member](const Proxy& proxy, const Place& place, Claims& claims) -> base::Status {
        const std::optional<Endpoint>& value = proxy.*member;
        if (!value) return {};
        return claims.address(*value, *base::parse_endpoint(*value), 3, place);
      });
}

Setting<Proxy> native() {
  return claiming(text("native", &Proxy::native, base::check_endpoint,
                       "where clients of the native protocol connect"),
                  [](const Proxy& proxy, const Place& place, Claims& claims) -> base::Status {
                    if (!proxy.native) return {};
                    return claims.address(*proxy.native, *base::parse_endpoint(*proxy.native), 1,
                                          place);
                  });
}

template <typename Section>
Setting<Section> advertise() {
  return text("advertise", &Section::advertise, base::check_advertise,
              "host that others connect to, when it is not the one bound");
}

// Processes of other machines read it here, so it must be an address that they can connect to.
Setting<Broker> listen() {
  auto setting = endpoint("listen", &Broker::listen, base::check_fixed_endpoint,
                          "where processes find each other");
  return claiming(setting,
                  [claim = setting.claim](const Broker& broker, const Place& place,
                                          Claims& claims) -> base::Status {
                    const bool any = base::is_any_host(base::parse_endpoint(broker.listen)->host);
                    if (any && broker.advertise.empty() && !broker.supervise) {
                      return place.error(
                          base::quoted(broker.listen) +
                          " is no address to connect to: with supervise: false the processes need "
                          "`advertise`, the broker's host as they reach it");
                    }
                    return claim(broker, place, claims);
                  });
}

// The others read it here, so the broker alone must not know it.
base::Status check_broker_advertise(const std::string& text) {
  if (text != auto_advertise) return base::check_advertise(text);
  return base::Error{"'auto' cannot be known by the processes that look for the broker"};
}

template <typename Section>
Setting<Section> nofile() {
  return claiming(
      number("nofile", &Section::nofile, 0, max_nofile, "limit of open files; 0 leaves it alone"),
      [](const Section& section, const Place& place, Claims& claims) -> base::Status {
        claims.note(section.name + ".nofile", place);
        return {};
      });
}

Setting<Cluster> shards() {
  auto setting = sections("shards", &Cluster::shards, &Shard::name, false, shard_table(),
                          "the processes that keep state");
  setting.read = [](const YAML::Node& node, const Place& place, Cluster& cluster,
                    Claims& claims) -> base::Status {
    const auto items = list_entries(node, place);
    if (!items) return base::Error{items.error()};
    for (const Entry& item : *items) {
      Shard& shard = cluster.shards.emplace_back();
      auto status = read_section(item.value, item.place, shard_table(), shard, claims);
      if (status) status = read_own_partitions(item, shard.name, cluster, claims);
      if (!status) return status;
    }
    return {};
  };
  return claiming(required(std::move(setting)),
                  [](const Cluster&, const Place& place, Claims& claims) -> base::Status {
                    claims.note("shards", place);
                    return {};
                  });
}

Setting<Cluster> proxies() {
  return claiming(sections("proxies", &Cluster::proxies, &Proxy::name, true, proxy_table(),
                           "the processes that clients connect to"),
                  [](const Cluster& cluster, const Place&, Claims& claims) -> base::Status {
                    const auto found =
                        std::ranges::find_if(cluster.proxies, is_template, &Proxy::name);
                    if (!cluster.broker.supervise || found == cluster.proxies.end()) return {};
                    return claims.place_of_name(found->name)
                        .error("'" + found->name +
                               "' stands for any number of proxies: with supervise: true each "
                               "needs a name of its own");
                  });
}

}  // namespace

base::Status check_name(const std::string& text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!text.empty() && text.size() <= max_entry_name && std::ranges::all_of(text, allowed))
    return {};
  return base::Error{base::quoted(text) + " is not 1 to 63 characters of a-z, 0-9 and -"};
}

base::Status check_subtree(const std::string& text) {
  if (text == "*" || (!text.empty() && keyspace::is_subtree(text))) return {};
  if (text.size() > base::max_key_bytes) {
    return base::Error{base::quoted(text) + " is not a subtree: it is longer than " +
                       std::to_string(base::max_key_bytes) + " bytes"};
  }
  if (base::has_control(text)) {
    return base::Error{base::quoted(text) + " is not a subtree: it holds a control character"};
  }
  return base::Error{base::quoted(text) + " is not a subtree: it must end with '/', or be \"*\""};
}

const Table<Shard>& shard_table() {
  static const Table<Shard> table = {
      required(name<Shard>("name of the shard")),
      own_partitions(),
      endpoint("requests", &Shard::requests, base::check_endpoint, "where proxies send requests"),
      endpoint("updates", &Shard::updates, base::check_endpoint, "where proxies subscribe"),
      advertise<Shard>(),
      http<Shard>(),
      nofile<Shard>(),
      number("updates_queue_bytes", &Shard::updates_queue_bytes, min_queue_bytes, max_queue_bytes,
             "bytes of batches queued per proxy"),
      number("updates_send_buffer", &Shard::updates_send_buffer, -1, max_buffer,
             "kernel buffer per proxy in bytes; -1 is the kernel's default"),
  };
  return table;
}

const Table<Proxy>& proxy_table() {
  static const Table<Proxy> table = {
      required(name<Proxy>("name of the proxy", check_proxy_name)),
      live(number("max_clients", &Proxy::max_clients, 1, max_nofile, "clients connected at once")),
      native(),
      dialect("kvsimple", &Proxy::kvsimple),
      dialect("kvmsg", &Proxy::kvmsg),
      dialect("chp", &Proxy::chp),
      advertise<Proxy>(),
      http<Proxy>(),
      nofile<Proxy>(),
      live(duration("max_linger_ms", &Proxy::max_linger, 0, 10'000,
                    "latency that gathering updates may add; 0 sends each at once")),
      live(number("publish_share", &Proxy::publish_share, 1, 100,
                  "percent of a core that publishing aims at: the flush interval follows")),
      number("client_queue_bytes", &Proxy::client_queue_bytes, min_client_queue_bytes,
             max_queue_bytes, "bytes queued per client before it misses updates"),
      number("egress_bytes", &Proxy::egress_bytes, min_client_queue_bytes, max_queue_bytes,
             "bytes queued for all clients: beyond, the largest queues are cut"),
      choice("slow_clients", &Proxy::slow_clients,
             Choices<SlowClients>{{"drop", SlowClients::drop},
                                  {"disconnect", SlowClients::disconnect}},
             "what becomes of a Clone client whose queue is full"),
      number("client_send_buffer", &Proxy::client_send_buffer, -1, max_buffer,
             "kernel buffer per client connection in bytes; -1 is the kernel's default"),
      flag("proxy_protocol", &Proxy::proxy_protocol,
           "connections begin with a PROXY protocol header, as HAProxy sends it"),
      number("link_queue_bytes", &Proxy::link_queue_bytes, min_queue_bytes, max_queue_bytes,
             "bytes of batches read from a shard in one turn"),
      number("link_receive_buffer", &Proxy::link_receive_buffer, -1, max_buffer,
             "kernel buffer per shard in bytes; -1 is the kernel's default"),
      live(number("upstream_queue_bytes", &Proxy::upstream_queue_bytes, min_queue_bytes,
                  max_queue_bytes, "bytes of writes that wait for a shard")),
      number("max_snapshots", &Proxy::max_snapshots, 1, max_nofile,
             "snapshots sent to clients at the same time"),
      live(duration("mirror_keep_ms", &Proxy::mirror_keep, 0, one_day_ms,
                    "how long an unused partition stays mirrored")),
  };
  return table;
}

const Table<Broker>& broker_table() {
  static const Table<Broker> table = {
      name<Broker>("name of the broker"),
      listen(),
      text("advertise", &Broker::advertise, check_broker_advertise,
           "host that others connect to, when it is not the one bound"),
      http<Broker>(),
      flag("supervise", &Broker::supervise, "start and keep up the processes of the file"),
      live(duration("drain_ms", &Broker::drain, 0, 600'000,
                    "what a stopping process gets before it is killed")),
  };
  return table;
}

const Table<Cluster>& cluster_table() {
  static const Table<Cluster> table = {
      text("state_dir", &Cluster::state_dir, check_path,
           "folder of what shards and broker keep on disk"),
      live(word("log_level", &Cluster::log_level, {"debug", "info", "warn", "error"},
                "what is logged")),
      word("log_format", &Cluster::log_format, {"text", "json"}, "how it is logged"),
      security(),
      coordination(),
      section("broker", &Cluster::broker, broker_table(), "the control plane"),
      sections("partitions", &Cluster::partitions, &Partition::subtree, false, partition_table(),
               "the subtrees that are owned as a whole, and the shards that keep them"),
      shards(),
      proxies(),
  };
  return table;
}

}  // namespace canopy::config
