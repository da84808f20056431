// The clients' requests to the broker, over the endpoint of the directory.
#include "core/coordination/backup.h"
#include "core/coordination/local_server.h"
#include "core/coordination/partition_record.h"

namespace canopy::coordination {

wire::native::FromBroker LocalServer::answer(const wire::native::Directory& request) const {
  wire::native::Members members{.request = request.request};
  const auto& entries = registry_.entries();
  for (auto at = entries.lower_bound(request.prefix);
       at != entries.end() && at->first.starts_with(request.prefix); ++at) {
    members.members.emplace_back(at->first, at->second.value);
  }
  for (auto at = expected_.lower_bound(request.prefix);
       at != expected_.end() && at->first.starts_with(request.prefix); ++at) {
    if (!entries.contains(at->first)) members.members.emplace_back(*at);
  }
  return members;
}

wire::native::FromBroker LocalServer::answer(const wire::native::Drain& request) const {
  if (drainer_ && drainer_(request.name)) {
    return wire::native::Drained{.request = request.request};
  }
  return wire::native::Refusal{.request = request.request,
                               .fault = wire::Fault::not_found,
                               .text = "no running proxy of this broker is called " + request.name};
}

wire::native::FromBroker LocalServer::answer(const wire::native::Elect& request) {
  const std::string why =
      elector_ ? elector_(request.partition, request.shard) : "this broker knows of no partitions";
  if (!why.empty()) {
    return wire::native::Refusal{
        .request = request.request, .fault = wire::Fault::not_found, .text = why};
  }
  carry_out(registry_.notify(election_key(request.partition), request.shard));
  return wire::native::Elected{.request = request.request};
}

wire::native::FromBroker LocalServer::answer(const wire::native::Backup& request) {
  const std::string order = to_json(Backup{.order = request.order, .name = request.name});
  const std::string why =
      backup_orderer_ ? backup_orderer_(request.shard, order) : "this broker knows of no shards";
  if (!why.empty()) {
    return wire::native::Refusal{
        .request = request.request, .fault = wire::Fault::not_found, .text = why};
  }
  carry_out(registry_.notify(backup_orders_prefix + request.shard, order));
  return wire::native::BackupOrdered{.request = request.request};
}

// Sends no reply if the connection has closed meanwhile.
template <typename Done>
std::function<void(const std::string& why)> LocalServer::answers(const net::Connection& connection,
                                                                 std::uint64_t request) {
  namespace native = wire::native;
  return [this, id = connection.id(), request](const std::string& why) {
    net::Connection* asker = listener_->find(id);
    if (asker == nullptr) return;
    if (why.empty()) return reply(*asker, Done{request});
    reply(*asker,
          native::Refusal{.request = request, .fault = wire::Fault::not_found, .text = why});
  };
}

void LocalServer::carry_out(net::Connection& connection, const wire::native::Place& request) {
  const auto done = answers<wire::native::Placed>(connection, request.request);
  commit_now();
  if (placer_) return placer_(request.partition, request.shards, done);
  done("this broker knows of no partitions");
}

void LocalServer::carry_out(net::Connection& connection, const wire::native::Split& request) {
  const auto done = answers<wire::native::SplitOrdered>(connection, request.request);
  commit_now();
  if (splitter_) return splitter_(request.subtree, done);
  done("this broker knows of no partitions");
}

void LocalServer::carry_out(net::Connection& connection, const wire::native::Reload& request) {
  ++peer_of(connection).reloads;
  const auto done = [this, id = connection.id(), number = request.request](Reload outcome) {
    end_reload(id, number, std::move(outcome));
  };
  if (reloader_) return reloader_(done);
  done({.fault = wire::Fault::configuration, .text = "this broker has no file to reload"});
}

// Sends no reply if the connection has closed.
void LocalServer::end_reload(std::uint64_t id, std::uint64_t request, Reload outcome) {
  namespace native = wire::native;
  net::Connection* connection = listener_->find(id);
  if (connection == nullptr) return;
  if (outcome.fault == wire::Fault::none) {
    reply(*connection, native::Reloaded{request, std::move(outcome.settings)});
  } else {
    reply(*connection,
          native::Refusal{
              .request = request, .fault = outcome.fault, .text = std::move(outcome.text)});
  }
  Peer& peer = peer_of(*connection);
  if (--peer.reloads == 0 && peer.leaving) connection->close("permissions");
}

}  // namespace canopy::coordination
