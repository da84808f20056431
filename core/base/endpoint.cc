#include "core/base/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "core/base/host.h"
#include "core/base/text.h"

namespace canopy::base {
namespace {

constexpr std::string_view tcp_scheme = "tcp://";
constexpr std::string_view ipc_scheme = "ipc://";
constexpr std::size_t max_ipc_path = 107;  // sun_path, less its terminator
constexpr int max_port = 65535;
constexpr std::size_t max_host_name = 253;  // of DNS

Error refused(std::string_view text, const std::string& why) {
  return Error{quoted(text) + " " + why};
}

std::optional<int> parse_port(std::string_view text) {
  int port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (port < 0 || port > max_port) return std::nullopt;
  return port;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

// An IPv6 address in canonical spelling, without brackets and zone; absent when it is none.
std::optional<std::string> ipv6_of(std::string_view host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return std::nullopt;
  const std::size_t end = std::min(host.find('%'), host.size() - 1);
  const std::string text(host.substr(1, end - 1));
  in6_addr address{};
  std::array<char, INET6_ADDRSTRLEN> spelled{};
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return std::nullopt;
  return inet_ntop(AF_INET6, &address, spelled.data(), spelled.size());
}

// Names, IPv4, interfaces, [IPv6] and `*`; anything that a URL could hide in is refused.
bool is_host(std::string_view host) {
  if (host == "*") return true;
  if (host.starts_with('[')) {
    const auto zone = host.find('%');
    return ipv6_of(host) &&
           (zone == std::string_view::npos ||
            std::ranges::all_of(host.substr(zone + 1, host.size() - zone - 2), is_plain));
  }
  if (host.empty() || host.size() > max_host_name || !std::ranges::all_of(host, is_plain))
    return false;
  // A host of digits and dots is meant as an IPv4 address.
  const auto in_address = [](char c) { return (c >= '0' && c <= '9') || c == '.'; };
  in_addr address{};
  return !std::ranges::all_of(host, in_address) ||
         inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
}

bool is_any_ipv4(std::string_view host) { return host == "*" || host == "0.0.0.0"; }
bool is_any_ipv6(std::string_view host) { return ipv6_of(host) == "::"; }

std::string canonical(std::string_view host) {
  if (auto address = ipv6_of(host)) return *address;
  if (host == "localhost") return "127.0.0.1";
  return interface_host(std::string(host)).value_or(std::string(host));
}

// Whether sockets bound to these hosts compete for ports. `[::]` includes IPv4.
bool share(std::string_view a, std::string_view b) {
  if (is_any_ipv6(a) || is_any_ipv6(b)) return true;
  if (is_any_ipv4(a)) return !ipv6_of(b);
  if (is_any_ipv4(b)) return !ipv6_of(a);
  return canonical(a) == canonical(b);
}

// The position of the port in HOST:PORT, or npos; the colons of a bare IPv6 address do not count.
std::size_t port_start(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  return colon == std::string_view::npos ? colon : colon + 1;
}

}  // namespace

bool is_any_host(std::string_view host) { return is_any_ipv4(host) || is_any_ipv6(host); }

Result<Address> parse_endpoint(std::string_view text) {
  Address address;
  if (text.starts_with(ipc_scheme)) {
    address.ipc = true;
    address.path = text.substr(ipc_scheme.size());
    if (address.path.empty()) return refused(text, "lacks a path");
    if (address.path.size() > max_ipc_path) {
      return refused(text,
                     "has a path longer than " + std::to_string(max_ipc_path) + " characters");
    }
    if (has_control(address.path)) return refused(text, "holds a control character");
    if (!address.path.starts_with('@')) {  // of the abstract namespace: no file
      address.path = std::filesystem::path(address.path).lexically_normal().string();
    }
    if (address.path.ends_with('/') || address.path == "." || address.path.ends_with("..")) {
      return refused(text, "names a folder: a socket takes a path of its own");
    }
    return address;
  }
  if (!text.starts_with(tcp_scheme)) {
    return refused(text, "is no endpoint: tcp://HOST:PORT or ipc://PATH");
  }
  const std::string_view rest = text.substr(tcp_scheme.size());
  const std::size_t start = port_start(rest);
  if (start == std::string_view::npos) return refused(text, "lacks a port: tcp://HOST:PORT");
  address.host = rest.substr(0, start - 1);
  if (!is_host(address.host))
    return refused(text, "lacks a valid host: tcp://HOST:PORT, IPv6 in brackets");
  if (rest.substr(start) == "*") return address;
  const std::optional<int> port = parse_port(rest.substr(start));
  if (!port || *port == 0) return refused(text, "needs a port of 1 to 65535, or * for a free one");
  address.port = static_cast<std::uint16_t>(*port);
  return address;
}

Result<Address> parse_http_address(std::string_view text) {
  const std::size_t start = port_start(text);
  if (start == std::string_view::npos) return refused(text, "is not HOST:PORT");
  Address address;
  address.host = text.substr(0, start - 1);
  if (!is_host(address.host)) return refused(text, "lacks a valid host: HOST:PORT");
  if (address.host.find('%') != std::string::npos) {
    return refused(text, "has a zone, which HTTP does not support");
  }
  const std::optional<int> port = parse_port(text.substr(start));
  if (!port) return refused(text, "needs a port of 1 to 65535, or 0 for a free one");
  if (*port != 0) address.port = static_cast<std::uint16_t>(*port);
  return address;
}

Status check_endpoint(const std::string& text) {
  const auto address = parse_endpoint(text);
  return address ? Status{} : Error{address.error()};
}

Status check_fixed_endpoint(const std::string& text) {
  const auto address = parse_endpoint(text);
  if (!address) return Error{address.error()};
  if (address->ipc ? address->path == "*" : !address->port) {
    return refused(text, "must be fixed: the other processes read it here");
  }
  return {};
}

Status check_triple_endpoint(const std::string& text) {
  const auto address = parse_endpoint(text);
  if (!address) return Error{address.error()};
  if (address->ipc) return refused(text, "must be tcp: clients take three consecutive ports");
  if (!address->port) return refused(text, "needs a port number: clients take the next two ports");
  if (*address->port > max_port - 2) return refused(text, "leaves no room for the next two ports");
  return {};
}

Status check_http_address(const std::string& text) {
  const auto address = parse_http_address(text);
  return address ? Status{} : Error{address.error()};
}

Status check_advertise(const std::string& text) {
  if (!text.empty() && (!is_host(text) || is_any_host(text))) {
    return refused(
        text, "is no host that others could connect to (no scheme, no port; IPv6 in brackets)");
  }
  return {};
}

bool clash(const Address& a, int a_count, const Address& b, int b_count) {
  if (a.ipc || b.ipc) return a.ipc && b.ipc && a.path != "*" && a.path == b.path;
  if (!a.port || !b.port) return false;
  if (*a.port + a_count <= *b.port || *b.port + b_count <= *a.port) return false;
  return share(a.host, b.host);
}

std::string next_port(const std::string& endpoint, int count) {
  const std::size_t start = port_start(endpoint);
  if (start == std::string::npos) return endpoint;
  const std::optional<int> port = parse_port(std::string_view(endpoint).substr(start));
  return port ? endpoint.substr(0, start) + std::to_string(*port + count) : endpoint;
}

std::string advertised(const std::string& bound, const std::string& advertise) {
  if (!bound.starts_with(tcp_scheme)) return bound;
  const std::size_t start = port_start(bound);
  const std::string_view host =
      std::string_view(bound).substr(tcp_scheme.size(), start - 1 - tcp_scheme.size());
  if (advertise.empty() && !is_any_host(host)) return bound;
  return std::string(tcp_scheme) + (advertise.empty() ? announced_host() : advertise) + ":" +
         bound.substr(start);
}

std::string advertised_http(const std::string& bound, const std::string& advertise) {
  const std::size_t start = port_start(bound);
  if (start == std::string::npos || !is_any_host(bound.substr(0, start - 1))) return bound;
  return (advertise.empty() ? announced_host() : advertise) + ":" + bound.substr(start);
}

std::string on_this_machine(const std::string& bound) {
  if (!bound.starts_with(tcp_scheme)) return bound;
  const std::size_t start = port_start(bound);
  std::string host = bound.substr(tcp_scheme.size(), start - 1 - tcp_scheme.size());
  if (is_any_host(host)) {
    host = is_any_ipv6(host) ? "[::1]" : "127.0.0.1";
  } else if (const auto address = interface_host(host)) {
    host = *address;
  }
  return std::string(tcp_scheme) + host + ":" + bound.substr(start);
}

}  // namespace canopy::base
