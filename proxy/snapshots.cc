#include "proxy/snapshots.h"

namespace canopy::proxy {

void Snapshots::open(std::string peer, std::string prefix, const Cut& cut, base::TimePoint now) {
  Session session{.peer = std::move(peer),
                  .prefix = std::move(prefix),
                  .stamp = cut.stamp,
                  .cursors = {},
                  .began = now,
                  .moved = now};
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
    blocked = progress == Progress::blocked ? blocked + 1 : 0;
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
      sink.finished("sent", now - session.began);
      return Progress::finished;
    }
    auto& cursor = session.cursors.front();
    const keyspace::Update& entry = **cursor;
    if (!entry.value.empty()) {
      const Delivery delivery = sink.entry(session.peer, entry, session.stamp);
      if (delivery != Delivery::sent) return after(delivery, session, sink, now);
      session.moved = now;
    }
    cursor.next();
    ++sent;
  }
  return Progress::more;
}

Snapshots::Progress Snapshots::after(Delivery delivery, Session& session, const Sink& sink,
                                     base::TimePoint now) {
  if (delivery == Delivery::gone) {
    sink.finished("client_gone", now - session.began);
    return Progress::finished;
  }
  if (now - session.moved > patience) {
    sink.finished("timeout", now - session.began);
    return Progress::finished;
  }
  return Progress::blocked;
}

}  // namespace canopy::proxy
