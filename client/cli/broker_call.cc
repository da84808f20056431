#include "client/cli/broker_call.h"

#include <memory>
#include <optional>

#include "core/base/text.h"
#include "core/net/loop.h"
#include "core/net/socket.h"

namespace canopy::client::cli {

namespace native = wire::native;

namespace {

std::string no_broker(const Cluster& cluster) {
  return "no broker answered at " + base::joined(cluster.brokers) +
         (cluster.keys ? " (does the cluster have `security`, and know these keys?)"
                       : " (if the cluster has `security`, give --key and --server-key)");
}

}  // namespace

base::Result<native::FromBroker> ask_brokers(const Cluster& cluster, const std::string& question,
                                             base::Duration timeout) {
  net::Context context;
  const base::SystemClock clock;
  net::Loop loop(clock);
  std::vector<std::unique_ptr<net::Socket>> sockets;
  std::optional<native::FromBroker> answer;
  std::size_t unanswered = cluster.brokers.size();
  net::Message message;
  const auto read = [&](net::Socket& socket) {
    while (socket.receive(message)) {
      auto decoded = message.size() == 1 ? native::decode_from_broker(message[0])
                                         : base::Error{"wants one frame"};
      if (!decoded) continue;
      const bool refused = std::holds_alternative<native::Refusal>(*decoded);
      answer = std::move(*decoded);
      if (--unanswered == 0 || !refused) return loop.stop();
    }
  };
  for (const std::string& broker : cluster.brokers) {
    sockets.push_back(std::make_unique<net::Socket>(
        context, net::SocketType::dealer,
        net::SocketOptions{.max_frame_bytes = base::max_link_frame_bytes,
                           .curve_client = cluster.keys}));
    net::Socket& socket = *sockets.back();
    if (const auto connected = socket.connect(broker); !connected) {
      return base::Error{connected.error()};
    }
    socket.send_frame(question, false);
    loop.on_readable(socket, [&read, &socket] { read(socket); });
  }
  loop.after(timeout, [&loop] { loop.stop(); });
  loop.run();
  if (answer) return std::move(*answer);
  return base::Error{no_broker(cluster)};
}

}  // namespace canopy::client::cli
