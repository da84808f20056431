#include "client/cli/call.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "client/link.h"
#include "core/base/text.h"
#include "core/net/loop.h"

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
                     const std::optional<access::ClientKeys>& keys, const std::string& question,
                     base::Duration timeout, const OnReply& on_reply) {
  if (endpoints.empty()) return {};
  const base::SystemClock clock;
  net::Loop loop(clock);
  net::Connections server(loop);
  std::vector<std::unique_ptr<Link>> links;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const auto on_frame = [&, i](std::string_view frame) {
      if (on_reply(i, frame)) loop.stop();
    };
    links.push_back(std::make_unique<Link>(server, keys, LinkEvents{.on_frame = on_frame}));
    if (const auto connected = links.back()->connect(endpoints[i]); !connected) return connected;
    links.back()->send(question);
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
