#include "shard/updates.h"

#include <array>
#include <memory>

#include "core/base/limits.h"
#include "core/zmtp/frame.h"
#include "core/zmtp/subscriptions.h"

namespace canopy::shard {
namespace {

// All that a proxy sends here are subscriptions to topics, which are not longer than keys.
constexpr std::size_t frame_bytes = std::size_t{4} << 10;
constexpr std::size_t write_bytes_per_turn = std::size_t{16} << 20;

struct Subscriber final : net::Connection::Attachment {
  zmtp::Subscriptions topics{};
};

Subscriber& subscriber(const net::Connection& connection) {
  return static_cast<Subscriber&>(*connection.attachment());
}

}  // namespace

Updates::Updates(net::Server& server, const Settings& settings, net::Closings& closings)
    : queue_bytes_(settings.queue_bytes),
      closings_(closings),
      listener_(server,
                {.address = settings.address,
                 .peer = {.type = zmtp::SocketType::xpub,
                          .limits = {.frame_bytes = frame_bytes},
                          .curve = settings.curve},
                 .send_buffer_bytes = settings.send_buffer_bytes,
                 .write_bytes_per_turn = write_bytes_per_turn},
                *this) {}

// An empty queue takes any batch, or one that is larger than the bound would never arrive.
void Updates::publish(std::string_view batch) {
  net::Buffer message;
  listener_.for_each([&](net::Connection& connection) {
    if (!connection.ready() || !subscriber(connection).topics.matches(batch)) return;
    const std::size_t queued = connection.queued_bytes();
    if (queued > 0 && queued + batch.size() > queue_bytes_) return;
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

void Updates::on_closed(net::Connection& connection, std::string_view reason) {
  closings_.add("updates", connection, reason);
}

}  // namespace canopy::shard
