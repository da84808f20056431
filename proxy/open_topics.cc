#include "proxy/open_topics.h"

namespace canopy::proxy {

void OpenTopics::read(net::Message& message, int most) {
  for (int i = 0; i < most && listener_.socket.receive(message); ++i) {
    owner_.look();  // a connection is known before what it says
    take(message);
  }
}

void OpenTopics::take(const net::Message& message) {
  if (message.too_large()) {
    owner_.reject("frame_too_large");
    return listener_.monitor.cut(message, "frame_too_large");
  }
  if (!is_topic_event(message)) return owner_.reject("malformed");
  Names* const topics = topics_of(message);
  if (topics == nullptr) return;
  const std::string topic(message[0].substr(1));
  if (message[0].front() == 0) {
    if (topics->erase(topic) > 0) owner_.end(topic);
    return;
  }
  if (topics->contains(topic)) return;
  if (topics->size() >= max_topics) return owner_.reject("too_many_streams");
  if (owner_.begin(topic, message)) topics->insert(topic);
}

// Null when the connection is gone, or when it is libzmq that speaks, of such a one.
OpenTopics::Names* OpenTopics::topics_of(const net::Message& message) {
  const int fd = message.source_fd();
  if (fd < 0) return message[0].front() == 1 ? &of_old_peers_ : nullptr;
  const auto* connection = listener_.monitor.find(fd);
  return connection == nullptr ? nullptr : &by_connection_[connection->number];
}

void OpenTopics::forget(std::span<const PeerId> ended) {
  for (const PeerId id : ended) {
    const auto known = by_connection_.extract(id);
    if (known.empty()) continue;
    for (const std::string& topic : known.mapped()) owner_.end(topic);
  }
}

}  // namespace canopy::proxy
