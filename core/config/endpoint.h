// The syntax of the cluster's addresses. These functions resolve no name and open no socket; they
// read only the list of this machine's interfaces. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace canopy::config {

// The parts of "tcp://HOST:PORT", "ipc://PATH" or "HOST:PORT".
struct Address {
  bool ipc = false;
  std::string host;                   // tcp; IPv6 in brackets
  std::optional<std::uint16_t> port;  // tcp; absent: any free one
  std::string path;                   // ipc; of several spellings the shortest
};

// tcp://HOST:PORT with a port of 1 to 65535 or `*`, or ipc://PATH.
base::Result<Address> parse_endpoint(std::string_view text);
// HOST:PORT; port 0 is any free one.
base::Result<Address> parse_http_address(std::string_view text);

// Each returns why the text is invalid.
base::Status check_endpoint(const std::string& text);
base::Status check_fixed_endpoint(const std::string& text);   // others must find it: no `*` port
base::Status check_triple_endpoint(const std::string& text);  // tcp, ports P, P+1 and P+2 fixed
base::Status check_http_address(const std::string& text);
base::Status check_advertise(const std::string& text);  // a host alone
// Whether the host means every interface of the machine: `*`, 0.0.0.0, [::].
bool is_any_host(std::string_view host);

// Whether two listeners, on `count` consecutive ports each, could not both be bound.
bool clash(const Address& a, int a_count, const Address& b, int b_count);

}  // namespace canopy::config
