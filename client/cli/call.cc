#include "client/cli/call.h"

#include <algorithm>
#include <iterator>
#include <memory>

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

void add(ProxyAnswer& answer, std::string_view frame) {
  native::FromProxy message;
  if (!native::decode_from_proxy(frame, message)) return;
  if (auto* list = std::get_if<native::ClientList>(&message)) {
    std::ranges::move(list->clients, std::back_inserter(answer.clients));
    answer.done = !list->more;
  } else if (std::holds_alternative<native::Kicked>(message)) {
    answer.done = true;
  } else if (auto* refusal = std::get_if<native::Refusal>(&message)) {
    answer.refusal = std::move(*refusal);
    answer.done = true;
  }
}

}  // namespace

base::Status ask_all(const std::vector<std::string>& endpoints,
                     const std::optional<net::CurveClient>& keys, const std::string& question,
                     base::Duration timeout, const OnReply& on_reply) {
  if (endpoints.empty()) return {};
  net::Context context;
  const base::SystemClock clock;
  net::Loop loop(clock);
  std::vector<std::unique_ptr<net::Socket>> sockets;
  net::Message message;
  const auto read = [&](std::size_t endpoint) {
    while (sockets[endpoint]->receive(message)) {
      if (message.size() == 1 && on_reply(endpoint, message[0])) return loop.stop();
    }
  };
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    sockets.push_back(std::make_unique<net::Socket>(
        context, net::SocketType::dealer,
        net::SocketOptions{.max_frame_bytes = base::max_link_frame_bytes, .curve_client = keys}));
    net::Socket& socket = *sockets.back();
    if (const auto connected = socket.connect(endpoints[i]); !connected) {
      return base::Error{connected.error()};
    }
    socket.send_frame(question, false);
    loop.on_readable(socket, [&read, i] { read(i); });
  }
  loop.after(timeout, [&loop] { loop.stop(); });
  loop.run();
  return {};
}

base::Result<native::FromBroker> ask_brokers(const Cluster& cluster, const std::string& question,
                                             base::Duration timeout) {
  std::optional<native::FromBroker> answer;
  std::size_t unanswered = cluster.brokers.size();
  const auto asked = ask_all(
      cluster.brokers, cluster.keys, question, timeout, [&](std::size_t, std::string_view frame) {
        auto decoded = native::decode_from_broker(frame);
        if (!decoded) return false;
        answer = std::move(*decoded);
        return --unanswered == 0 || !std::holds_alternative<native::Refusal>(*answer);
      });
  if (!asked) return base::Error{asked.error()};
  if (answer) return std::move(*answer);
  return base::Error{no_broker(cluster)};
}

base::Result<std::vector<ProxyAnswer>> ask_proxies(const std::vector<std::string>& endpoints,
                                                   const Cluster& cluster,
                                                   const std::string& question,
                                                   base::Duration timeout) {
  std::vector<ProxyAnswer> answers(endpoints.size());
  const auto asked = ask_all(endpoints, cluster.keys, question, timeout,
                             [&answers](std::size_t endpoint, std::string_view frame) {
                               add(answers[endpoint], frame);
                               return std::ranges::all_of(answers, &ProxyAnswer::done);
                             });
  if (!asked) return base::Error{asked.error()};
  return answers;
}

}  // namespace canopy::client::cli
