#include "tests/simulation/clients.h"

#include "tests/simulation/coordinator.h"
#include "tests/simulation/shard.h"

namespace canopy::simulation {

using keyspace::Revision;
using std::chrono::milliseconds;

Clients::Clients(Context context, const Coordinator& coordinator, const Coordinator* part,
                 std::map<std::string, Shard*> shards)
    : context_(context), coordinator_(coordinator), part_(part), shards_(std::move(shards)) {
  for (int i = 1; i <= context_.scenario.clients; ++i) {
    clients_.push_back({.id = fmt::format("c{}", i), .leader = shards_.begin()->first});
  }
}

void Clients::start() {
  for (Client& client : clients_) {
    context_.events.after(delay(), [this, &client] { next(client); });
  }
}

void Clients::stop_after(int requests) {
  for (Client& client : clients_) {
    client.left = requests;
    if (!client.request && requests > 0) next(client);
  }
}

bool Clients::quiet() const {
  for (const Client& client : clients_) {
    if (client.request || client.left > 0) return false;
  }
  return true;
}

std::vector<std::pair<wire::WriteRequest, Revision>> Clients::last_committed() const {
  std::vector<std::pair<wire::WriteRequest, Revision>> out;
  for (const Client& client : clients_) {
    if (client.committed) out.push_back(*client.committed);
  }
  return out;
}

base::Duration Clients::delay() {
  Random& random = context_.random;
  return random.chance(3) ? random.between(milliseconds(1), milliseconds(2000))
                          : random.between(base::Duration(50), context_.scenario.max_delay);
}

void Clients::next(Client& client) {
  if (client.request || client.left == 0) return;
  --client.left;
  client.request = draw(client);
  send(client, 0);
}

wire::WriteRequest Clients::draw(Client& client) {
  Random& random = context_.random;
  const std::uint64_t number = ++client.number;
  wire::WriteRequest request{.client = client.id, .number = number, .settled = number};
  const char* subtree =
      context_.scenario.splits && random.chance(50) ? part_subtree : whole_subtree;
  const auto add = [&](int key, int part, int parts) -> wire::Write& {
    wire::Write write{.key = fmt::format("{}{}", subtree, key)};
    write.uuid = fmt::format("{}#{}.{}/{}", client.id, number, part, parts);
    write.value = "v" + write.uuid + std::string(context_.scenario.padding, ' ');
    return request.writes.emplace_back(std::move(write));
  };
  const int keys = context_.scenario.keys;
  const int key = random.between(1, keys);
  const int kind = random.between(1, 100);
  if (kind <= 20) {
    add(key, 1, 2);
    add(key % keys + 1, 2, 2);
    return request;
  }
  wire::Write& write = add(key, 1, 1);
  if (kind <= 30) {
    write.deletes = true;
    write.value.clear();
  } else if (kind <= 50 && context_.scenario.settings.retain) {
    write.if_revision = client.seen[write.key];
  }
  return request;
}

void Clients::send(Client& client, int attempt) {
  const wire::WriteRequest& request = *client.request;
  const std::uint64_t number = request.number;
  context_.trace(client.id, [&] {
    return fmt::format("{} request {} to {}", attempt == 0 ? "sends" : "repeats", number,
                       client.leader);
  });
  Shard* shard = shards_.at(client.leader);
  if (!context_.random.chance(3)) {
    shard->request(delay(), request, [this, &client, number, shard](Answer answer) {
      if (answer.outcome == Answer::committed) {
        context_.trace(shard->name(), [&] {
          return fmt::format("answers {} request {}: {}", client.id, number, show(answer.revision));
        });
      }
      context_.events.after(delay(),
                            [this, &client, number, answer] { hear(client, number, answer); });
    });
  }
  const base::Duration timeout = context_.random.between(milliseconds(50), milliseconds(800));
  context_.events.after(timeout, [this, &client, number, attempt] {
    if (!client.request || client.request->number != number) return;
    const bool to_part = part_ != nullptr && part_->record() && of_part(*client.request);
    const auto& record = to_part ? part_->record() : coordinator_.record();
    client.leader = record && context_.random.chance(60)
                        ? record->leader.shard
                        : context_.random.pick(context_.scenario.settings.placement);
    send(client, attempt + 1);
  });
}

void Clients::hear(Client& client, std::uint64_t number, Answer answer) {
  if (!client.request || client.request->number != number) return;
  if (answer.outcome == Answer::not_here) return;  // it tries again after its timeout
  ++answers_;
  if (answer.outcome == Answer::committed) {
    for (const wire::Write& write : client.request->writes) {
      client.seen[write.key] = write.deletes ? Revision() : answer.revision;
    }
    client.committed.emplace(*client.request, answer.revision);
  }
  client.request.reset();
  context_.events.after(context_.random.between({}, context_.scenario.pause_between_requests),
                        [this, &client] { next(client); });
}

}  // namespace canopy::simulation
