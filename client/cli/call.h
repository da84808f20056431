// One question to brokers or proxies, waited for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/cluster.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/wire/native_broker.h"

namespace canopy::client::cli {

// Asks all endpoints at once, each over a connection of its own. `on_reply` is called with each
// frame that comes, and the index of the endpoint that sent it, until it returns true or the time
// is over. The error: an endpoint that cannot be connected to.
using OnReply = std::function<bool(std::size_t endpoint, std::string_view frame)>;
base::Status ask_all(const std::vector<std::string>& endpoints,
                     const std::optional<access::ClientKeys>& keys, const std::string& question,
                     base::Duration timeout, const OnReply& on_reply);

// Asks all brokers at once. The first answer counts; a refusal counts when no broker answers.
// The error: "no broker answered at A, B", and what the keys may have to do with it, since CURVE
// meets a stranger with silence.
base::Result<wire::native::FromBroker> ask_brokers(const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout);

// A proxy's answers to one question: all parts of a client_list, what else there is, or nothing.
struct ProxyAnswer {
  std::vector<wire::native::ClientInfo> clients{};
  std::optional<wire::native::Refusal> refusal{};
  bool done = false;  // answered to the end
};
// Of each proxy, by the order of their native endpoints.
base::Result<std::vector<ProxyAnswer>> ask_proxies(const std::vector<std::string>& endpoints,
                                                   const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout);

}  // namespace canopy::client::cli
