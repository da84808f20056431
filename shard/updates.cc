#include "shard/updates.h"

#include <array>
#include <memory>

#include "core/base/limits.h"
#include "core/zmtp/frame.h"
#include "core/zmtp/subscriptions.h"

namespace canopy::shard {
namespace {

// A proxy sends only subscriptions here. Topics are not longer than keys.
constexpr std::size_t frame_bytes = std::size_t{4} << 10;
constexpr std::size_t batch_bytes_per_turn = std::size_t{16} << 20;

struct Subscriber final : net::Connection::Attachment {
  // True when the queue has no room for `bytes`. A full queue stays full until half of it has been
  // sent: a slow proxy then misses few large holes. An empty queue accepts a batch of any size.
  bool is_full(std::size_t queued, std::size_t batch, std::size_t bound) {
    full = full ? queued > bound / 2 : queued > 0 && queued + batch > bound;
    return full;
  }

  zmtp::Subscriptions topics{};
  bool full = false;
};

Subscriber& subscriber(const net::Connection& connection) {
  return static_cast<Subscriber&>(*connection.attachment());
}

}  // namespace

Updates::Updates(net::Connections& server, const Settings& settings, net::Closings& closings)
    : queue_bytes_(settings.queue_bytes),
      listener_(server,
                {.address = settings.address,
                 .connection = {.peer = {.type = zmtp::SocketType::xpub,
                                         .limits = {.frame_bytes = frame_bytes},
                                         .curve = settings.curve},
                                .write_bytes_per_turn = batch_bytes_per_turn},
                 .send_buffer_bytes = settings.send_buffer_bytes,
                 .closings = &closings,
                 .name = "updates"},
                *this) {}

void Updates::publish(std::string_view batch) {
  net::Buffer message;
  listener_.for_each([&](net::Connection& connection) {
    if (!connection.ready()) return;
    Subscriber& proxy = subscriber(connection);
    if (!proxy.topics.matches(batch)) return;
    if (proxy.is_full(connection.queued_bytes(), batch.size(), queue_bytes_)) return;
    if (message == nullptr) {
      std::string encoded;
      zmtp::append_message(encoded, std::array{batch});
      message = std::make_shared<const std::string>(std::move(encoded));
    }
    connection.send(message);
  });
}

void Updates::on_ready(net::Connection& connection) {
  connection.attach(std::make_unique<Subscriber>());
}

void Updates::on_subscription(net::Connection& connection, std::string_view topic, bool begins) {
  zmtp::Subscriptions& topics = subscriber(connection).topics;
  if (!begins) {
    topics.end(topic);
  } else if (topics.begin(topic) && topics.size() > base::max_partitions) {
    connection.close("too_many_subscriptions");
  }
}

}  // namespace canopy::shard
