#include "proxy/snapshots.h"

namespace canopy::proxy {

void Snapshots::open(PeerId peer, std::string prefix, const Cut& cut, base::TimePoint now) {
  peers_.insert(peer);
  Session session{.peer = peer,
                  .prefix = std::move(prefix),
                  .stamp = cut.stamp,
                  .cursors = {},
                  .began = now,
                  .moved = now,
                  .blocked = false};
  for (const auto& view : cut.views) session.cursors.push_back(view.seek(session.prefix));
  sessions_.push_back(std::move(session));
}

bool Snapshots::send(const Sink& sink, base::TimePoint now) {
  std::size_t sent = 0;
  std::size_t blocked = 0;  // in a row
  while (!sessions_.empty() && blocked < sessions_.size() && sent < entries_per_turn) {
    Session session = std::move(sessions_.front());
    sessions_.pop_front();
    const Progress progress = advance(session, sink, now, sent);
    session.blocked = progress == Progress::blocked;
    blocked = session.blocked ? blocked + 1 : 0;
    if (progress != Progress::finished) sessions_.push_back(std::move(session));
  }
  return !sessions_.empty() && blocked < sessions_.size();
}

Snapshots::Progress Snapshots::advance(Session& session, const Sink& sink, base::TimePoint now,
                                       std::size_t& sent) {
  for (std::size_t i = 0; i < entries_at_a_time; ++i) {
    while (!session.cursors.empty() &&
           (session.cursors.front().done() ||
            !(*session.cursors.front())->key.starts_with(session.prefix))) {
      session.cursors.erase(session.cursors.begin());
    }
    if (session.cursors.empty()) {
      const Delivery delivery = sink.end(session.peer, session.prefix, session.stamp);
      if (delivery != Delivery::sent) return after(delivery, session, sink, now);
      return finish("sent", session, sink, now);
    }
    auto& cursor = session.cursors.front();
    const Delivery delivery = sink.entry(session.peer, **cursor, session.stamp);
    if (delivery != Delivery::sent) return after(delivery, session, sink, now);
    session.moved = now;
    cursor.next();
    ++sent;
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
