#include "core/net/connections.h"

namespace canopy::net {
namespace {

constexpr std::size_t read_bytes = std::size_t{64} << 10;

}  // namespace

Connections::Connections(Loop& loop) : loop_(loop), read_buffer_(read_bytes) {
  flush_id_ = loop_.on_flush([this] { flush(); });
}

Connections::~Connections() { loop_.remove_flush(flush_id_); }

void Connections::send_queued() {
  for (ZmtpConnection* connection : std::exchange(unsent_, {})) {
    connection->unsent_ = false;
    connection->flush();
  }
}

// Handlers may close or send to further connections; those are served before the turn ends.
void Connections::flush() {
  while (!unsent_.empty() || !closing_.empty()) {
    send_queued();
    for (ZmtpConnection* connection : std::exchange(closing_, {})) {
      connection->owner_.on_closed(*connection, connection->reason_);
    }
  }
}

}  // namespace canopy::net
