// One peer, as the owner of its listener or connector sees it: its identity, and what is sent to
// it.
//
// Made by a Listener or Connector; pure to its user, so that what a program does with its
// connections is tested without sockets. Valid until ConnectionEvents::on_closed() has returned.
// Not thread-safe: of the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/net/outbound_queue.h"
#include "core/zmtp/peer.h"

namespace canopy::net {

class Connection {
 public:
  // What the owner keeps for a connection; ends with it.
  class Attachment {
   public:
    virtual ~Attachment() = default;
  };

  Connection() = default;
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Never given to another connection of the same net::Connections.
  virtual std::uint64_t id() const = 0;
  // Its address: "192.0.2.1:4711", "[::1]:4711" or "local".
  virtual const std::string& peer() const = 0;
  virtual base::TimePoint since() const = 0;
  // Whether its handshake was over, also when a fault has ended it since.
  virtual bool ready() const = 0;
  // Once on_ready() was called: what the handshake announced. info().user is the name that its key
  // is known by; empty without security.
  virtual const zmtp::PeerInfo& info() const = 0;
  virtual bool closing() const = 0;

  // Whole messages, encoded by zmtp::append_message(): one buffer for any number of connections.
  virtual void send(const Buffer& messages) = 0;
  // One message for this connection alone; copied.
  virtual void send(std::span<const std::string_view> parts) = 0;
  // One message of one frame, `head` and then `body`, which is not copied.
  virtual void send(std::string_view head, const Buffer& body) = 0;
  // Waiting to be sent.
  virtual std::size_t queued_bytes() const = 0;

  // Ends it with this turn; nothing more is read or sent. The first reason counts; it is a metric
  // label.
  virtual void close(std::string_view reason) = 0;
  // What the peer sends meanwhile waits in its kernel's buffers and ours.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;

  void attach(std::unique_ptr<Attachment> attachment) { attachment_ = std::move(attachment); }
  Attachment* attachment() const { return attachment_.get(); }

 private:
  std::unique_ptr<Attachment> attachment_;
};

// What the connections of a listener or connector report to their owner. Handlers may send, close
// and pause any connection.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  virtual void on_ready(Connection&) {}
  // Views end with the call.
  virtual void on_message(Connection&, std::span<const std::string_view>) {}
  virtual void on_subscription(Connection&, std::string_view, bool) {}
  // The queue has been at or above the high-water mark, and is at or below the low one now. Comes
  // at the end of a turn; another one follows at once, so that what is sent now leaves.
  virtual void on_drained(Connection&) {}
  // Once for each connection, ready or not. `reason` is a metric label: "peer" when
  // the peer has closed its end, "error", "handshake_timeout", a zmtp::Fault or what close() was
  // given.
  virtual void on_closed(Connection&, std::string_view) {}
  // Of a connector, after each try of all addresses of its endpoint that has failed; the next one
  // has begun.
  virtual void on_unreachable() {}
};

}  // namespace canopy::net
