#include "proxy/snapshots.h"

namespace canopy::proxy {

void Snapshots::open(PeerId peer, std::string prefix, const Cut& cut, base::TimePoint now,
                     MirrorLease lease) {
  peers_.insert(peer);
  Session session{.peer = peer,
                  .prefix = std::move(prefix),
                  .stamp = cut.stamp,
                  .cursors = {},
                  .began = now,
                  .moved = now,
                  .lease = std::move(lease),
                  .blocked = false};
  for (const auto& view : cut.views) session.cursors.push_back(view.seek(session.prefix));
  sessions_.push_back(std::move(session));
}

bool Snapshots::send(const Sink& sink, base::TimePoint now) {
  std::size_t looked_at = 0;
  std::size_t blocked = 0;  // in a row
  while (!sessions_.empty() && blocked < sessions_.size() && looked_at < entries_per_turn) {
    Session session = std::move(sessions_.front());
    sessions_.pop_front();
    const Progress progress = advance(session, sink, now, looked_at);
    session.blocked = progress == Progress::blocked;
    blocked = session.blocked ? blocked + 1 : 0;
    if (progress != Progress::finished) sessions_.push_back(std::move(session));
  }
  return !sessions_.empty() && blocked < sessions_.size();
}

Snapshots::Progress Snapshots::advance(Session& session, const Sink& sink, base::TimePoint now,
                                       std::size_t& looked_at) {
  for (std::size_t i = 0; i < entries_at_a_time; ++i) {
    if (session.cursors.empty()) {
      const Delivery delivery = sink.end(session.peer, session.prefix, session.stamp);
      if (delivery != Delivery::sent) return after(delivery, session, sink, now);
      return finish("sent", session, sink, now);
    }
    auto& cursor = session.cursors.front();
    if (cursor.done() || !(*cursor)->key.starts_with(session.prefix)) {
      session.cursors.pop_front();
      ++looked_at;
      continue;
    }
    const keyspace::Update& entry = **cursor;
    if (!entry.value.empty()) {
      const Delivery delivery = sink.entry(session.peer, entry, session.stamp);
      if (delivery != Delivery::sent) return after(delivery, session, sink, now);
      session.moved = now;
    }
    cursor.next();
    ++looked_at;
  }
  return Progress::more;
}

Snapshots::Progress Snapshots::after(Delivery delivery, Session& session, const Sink& sink,
                                     base::TimePoint now) {
  if (delivery == Delivery::gone) {
    return finish("client_gone", session, sink, now);
  }
  if (now - session.moved > patience) {
    return finish("timeout", session, sink, now);
  }
  return Progress::blocked;
}

Snapshots::Progress Snapshots::finish(const char* result, const Session& session, const Sink& sink,
                                      base::TimePoint now) {
  peers_.erase(session.peer);
  sink.finished(session.peer, result, now - session.began);
  return Progress::finished;
}

}  // namespace canopy::proxy
