#include "proxy/catch_ups.h"

#include <algorithm>
#include <utility>

namespace canopy::proxy {

using keyspace::Revision;

namespace {

std::size_t bytes_of(const std::vector<Known>& known) { return known.size() * sizeof(Known); }

}  // namespace

wire::Fault CatchUps::open(net::Connection& connection, Request request, base::TimePoint now) {
  std::vector<std::size_t> partitions = partitions_.covering(request.subtree);
  if (partitions.empty()) return wire::Fault::no_partition;
  if (!request.known.empty()) {
    std::ranges::sort(partitions);
    std::erase_if(request.known, [&](const Known& known) {
      return !std::ranges::binary_search(partitions, known.partition);
    });
    request.known.shrink_to_fit();
  }
  const std::size_t bytes = bytes_of(request.known);
  if (size_ >= max_requests || known_bytes_ + bytes > max_known_bytes) return wire::Fault::busy;
  const auto client = clients_.find(connection.id());
  const std::size_t known_before = client == clients_.end() ? 0 : client->second.known_bytes;
  if (known_before + bytes > max_known_bytes_per_client) return wire::Fault::too_many_requests;
  add(client_of(connection), std::move(request), now);
  return wire::Fault::none;
}

void CatchUps::reopen(net::Connection& connection, Request request, base::TimePoint now) {
  add(client_of(connection), std::move(request), now);
}

void CatchUps::add(Client& client, Request request, base::TimePoint now) {
  const std::size_t bytes = bytes_of(request.known);
  std::ranges::sort(request.known, {}, &Known::partition);
  client.ready.push_back(
      {.client = &client, .request = std::move(request), .known_bytes = bytes, .began = now});
  Session& session = client.ready.back();
  client.known_bytes += bytes;
  known_bytes_ += bytes;
  session.in = &client.ready;
  session.self = std::prev(client.ready.end());
  client.by_number.emplace(session.request.number, &session);
  ++size_;
  want_turn(client);
}

CatchUps::Client& CatchUps::client_of(net::Connection& connection) {
  Client& client = clients_[connection.id()];
  client.connection = &connection;
  return client;
}

CatchUps::Session* CatchUps::find(const net::Connection& connection, std::uint64_t number) const {
  const auto client = clients_.find(connection.id());
  if (client == clients_.end()) return nullptr;
  const auto session = client->second.by_number.find(number);
  return session == client->second.by_number.end() ? nullptr : session->second;
}

void CatchUps::renew(const net::Connection& connection, std::uint64_t number, std::size_t partition,
                     bool surely) {
  Session* const session = find(connection, number);
  if (session == nullptr) return;
  std::vector<Known>& known =
      session->in == &session->client->cut ? session->has : session->request.known;
  const auto found = std::ranges::lower_bound(known, partition, {}, &Known::partition);
  if (found != known.end() && found->partition == partition) {
    found->revision = Revision();
  } else if (surely) {
    known.insert(found, {.partition = partition});
  }
}

void CatchUps::drop(const net::Connection& connection, std::uint64_t number) {
  Session* const session = find(connection, number);
  if (session == nullptr) return;
  Client& client = *session->client;
  end(*session);
  if (!client.by_number.empty()) return;
  leave_turn(client, Turn::none);
  clients_.erase(connection.id());
}

std::size_t CatchUps::drop(const net::Connection& connection) {
  const auto found = clients_.find(connection.id());
  if (found == clients_.end()) return 0;
  Client& client = found->second;
  const std::size_t count = client.by_number.size();
  while (!client.by_number.empty()) end(*client.by_number.begin()->second);
  leave_turn(client, Turn::none);
  clients_.erase(found);
  return count;
}

void CatchUps::move(Session& session, Sessions& to) {
  to.splice(to.end(), *session.in, session.self);
  session.in = &to;
}

void CatchUps::end(Session& session) {
  if (session.in == &session.client->waiting) stop_waiting(session);
  session.client->by_number.erase(session.request.number);
  forget_known(session);
  session.in->erase(session.self);
  --size_;
}

void CatchUps::forget_known(Session& session) {
  known_bytes_ -= session.known_bytes;
  session.client->known_bytes -= std::exchange(session.known_bytes, 0);
  session.request.known.clear();
}

void CatchUps::want_turn(Client& client) {
  if (client.turn != Turn::none || (client.ready.empty() && client.cut.empty())) return;
  client.turn = Turn::queued;
  client.place = queued_.insert(queued_.end(), &client);
}

void CatchUps::leave_turn(Client& client, Turn turn) {
  if (client.turn == Turn::queued) queued_.erase(client.place);
  if (client.turn == Turn::served) served_.erase(client.place);
  client.turn = turn;
}

void CatchUps::drained(const net::Connection& connection) {
  const auto found = clients_.find(connection.id());
  if (found == clients_.end() || found->second.turn != Turn::full) return;
  found->second.turn = Turn::none;
  want_turn(found->second);
}

// A full queue may drain in the flush at the end of this turn, and no event may follow. So the next
// turn follows at once.
bool CatchUps::serve(base::TimePoint now) {
  wake(now);
  entries_left_ = entries_per_turn;
  partitions_left_ = partitions_per_turn;
  bytes_left_ = bytes_per_turn;
  bool filled = false;
  while (entries_left_ > 0 && partitions_left_ > 0 && bytes_left_ > 0) {
    while (served_.size() < settings_.max_served && !queued_.empty()) {
      queued_.front()->turn = Turn::served;
      served_.splice(served_.end(), queued_, queued_.begin());
    }
    if (served_.empty()) break;
    Client& client = *served_.front();
    if (client.connection->queued_bytes() >= settings_.full_bytes) {
      leave_turn(client, Turn::full);
      filled = true;
      continue;
    }
    if (!serve(client, now)) break;  // continues in the next turn
    if (client.by_number.empty()) {
      leave_turn(client, Turn::none);
      clients_.erase(client.connection->id());
    } else if (client.ready.empty() && client.cut.empty()) {
      leave_turn(client, Turn::none);
    } else {
      served_.splice(served_.end(), served_, client.place);
    }
  }
  return filled || !served_.empty();
}

bool CatchUps::reached(std::size_t partition, Revision least) const {
  const cluster::Mirror* mirror = partitions_.mirror(partition);
  return mirror != nullptr && mirror->ready() && mirror->revision() >= least;
}

void CatchUps::wait(Session& session, std::size_t partition, Revision least,
                    base::TimePoint deadline) {
  move(session, session.client->waiting);
  session.waits_for = partition;
  session.waiting = waiting_[partition].emplace(least, &session);
  session.deadline = deadlines_.emplace(deadline, &session);
}

void CatchUps::stop_waiting(Session& session) {
  const auto waiting = waiting_.find(session.waits_for);
  waiting->second.erase(session.waiting);
  if (waiting->second.empty()) waiting_.erase(waiting);
  deadlines_.erase(session.deadline);
}

// Makes requests ready whose mirror has reached their revisions or whose timeout is over.
void CatchUps::wake(base::TimePoint now) {
  const auto wake_one = [this](Session& session) {
    stop_waiting(session);
    move(session, session.client->ready);
    want_turn(*session.client);
  };
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto current = next++;
    std::size_t left = current->second.size();
    for (; left > 0 && reached(current->first, current->second.begin()->first); --left) {
      wake_one(*current->second.begin()->second);  // waking the last one erases `current`
    }
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    wake_one(*deadlines_.begin()->second);
  }
}

std::optional<base::TimePoint> CatchUps::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace canopy::proxy
