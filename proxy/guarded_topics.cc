#include "proxy/guarded_topics.h"

#include <string>

namespace canopy::proxy {

void GuardedTopics::read(net::Message& message, int most) {
  for (int i = 0; i < most; ++i) {
    if (!listener_.socket.receive(message)) {
      misaligned_ = false;
      return;
    }
    owner_.look();
    take(message);
  }
}

void GuardedTopics::take(const net::Message& message) {
  if (!is_topic_event(message) || message.too_large()) {
    misaligned_ = true;
    owner_.reject("malformed");
    return cut_off(message, message.too_large() ? "frame_too_large" : "malformed");
  }
  if (message.source_fd() < 0) return;  // libzmq, of a connection that is gone
  if (misaligned_) return cut_off(message, "malformed_before");
  Peers::Peer* const peer = listener_.peers.meet(message, listener_.monitor);
  if (peer == nullptr) return;
  const std::string topic(message[0].substr(1));
  if (message[0].front() == 0) {
    if (peer->topics.erase(topic) == 0) return;
    listener_.socket.end_subscription(topic);
    return owner_.end(topic);
  }
  if (peer->topics.contains(topic)) return;
  if (peer->topics.size() >= max_topics) return owner_.reject("too_many_streams");
  if (!owner_.begin(topic, message)) return;
  peer->topics.insert(topic);
  listener_.socket.accept_subscription(topic);
}

// The first frame is that of the peer who began with it; the last may be of another, whose
// subscription libzmq took for its continuation.
void GuardedTopics::cut_off(const net::Message& message, const char* reason) {
  for (const std::size_t frame : {std::size_t{0}, message.size() - 1}) {
    const int fd = message.source_fd(frame);
    if (listener_.monitor.carries(fd, message.sender(frame).connection))
      listener_.monitor.cut(fd, reason);
  }
}

void GuardedTopics::forget(std::span<const PeerId> ended) {
  listener_.peers.forget(ended, [this](const Peers::Peer& peer) {
    for (const std::string& topic : peer.topics) owner_.end(topic);
  });
}

}  // namespace canopy::proxy
