// What an address of the cluster may look like. No name is resolved, no socket opened; of this
// machine only the interfaces are looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace canopy::base {

// The parts of "tcp://HOST:PORT", "ipc://PATH" or "HOST:PORT".
struct Address {
  bool ipc = false;
  std::string host;                   // tcp; IPv6 in brackets
  std::optional<std::uint16_t> port;  // tcp; absent: any free one
  std::string path;                   // ipc; of several spellings the shortest
};

// tcp://HOST:PORT with a port of 1 to 65535 or `*`, or ipc://PATH.
Result<Address> parse_endpoint(std::string_view text);
// HOST:PORT; port 0 is any free one.
Result<Address> parse_http_address(std::string_view text);

// Each is fine, or why not.
Status check_endpoint(const std::string& text);
Status check_fixed_endpoint(const std::string& text);   // others must find it: no `*` port
Status check_triple_endpoint(const std::string& text);  // tcp, ports P, P+1 and P+2 fixed
Status check_http_address(const std::string& text);
Status check_advertise(const std::string& text);  // a host alone
// Whether it stands for every interface of the machine: `*`, 0.0.0.0, [::].
bool is_any_host(std::string_view host);

// Whether two listeners, on `count` consecutive ports each, could not both be bound.
bool clash(const Address& a, int a_count, const Address& b, int b_count);

// The endpoint `count` ports further: ("tcp://h:5556", 2) -> "tcp://h:5558".
std::string next_port(const std::string& endpoint, int count);
// What others connect to: `bound` with its host replaced by `advertise`, if that is not empty. What
// is bound to every interface is announced at this machine's address otherwise.
std::string advertised(const std::string& bound, const std::string& advertise);
// The same for HTTP, which moves only when it is bound to every interface: one bound to the
// loopback is not reached elsewhere.
std::string advertised_http(const std::string& bound, const std::string& advertise);
// Where processes of this machine reach it: at the loopback, when it is bound to every interface;
// at the address of the interface that is named.
std::string on_this_machine(const std::string& bound);

}  // namespace canopy::base
