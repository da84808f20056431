// Sends one question to brokers or proxies and waits for the answers, on the calling thread.
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

// Asks all endpoints at once, each over its own connection. Calls `on_reply` with each frame and
// the index of its endpoint, until `on_reply` returns true or the timeout has passed. The error: an
// endpoint that is not valid.
using OnReply = std::function<bool(std::size_t endpoint, std::string_view frame)>;
base::Status ask_all(const std::vector<std::string>& endpoints,
                     const std::optional<access::ClientKeys>& keys, const std::string& question,
                     base::Duration timeout, const OnReply& on_reply);

// Asks all brokers at once. The first answer counts; a refusal counts when no broker answers.
// The error: "no broker answered at A, B", and a hint at the keys: CURVE does not answer an unknown
// client.
base::Result<wire::native::FromBroker> ask_brokers(const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout);

// A proxy's answers to one question: all parts of a client_list, or a refusal, or nothing yet.
struct ProxyAnswer {
  std::vector<wire::native::ClientInfo> clients{};
  std::optional<wire::native::Refusal> refusal{};
  bool done = false;  // answered to the end
};
// One answer per endpoint, in the order of the endpoints.
base::Result<std::vector<ProxyAnswer>> ask_proxies(const std::vector<std::string>& endpoints,
                                                   const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout);

}  // namespace canopy::client::cli
