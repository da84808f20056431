// A connection without a socket: keeps sent messages until the test drains it, and calls
// on_drained() by the same rule as an accepted one.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <vector>

#include "core/net/connection.h"
#include "core/zmtp/frame.h"

namespace canopy::proxy {

class FakeConnection : public net::Connection {
 public:
  explicit FakeConnection(std::uint64_t id, std::size_t high_water = std::size_t{1} << 20,
                          std::size_t low_water = std::size_t{256} << 10)
      : id_(id), high_water_(high_water), low_water_(low_water) {}

  std::uint64_t id() const override { return id_; }
  const std::string& peer() const override { return peer_; }
  base::TimePoint since() const override { return {}; }
  bool ready() const override { return true; }
  const zmtp::PeerInfo& info() const override { return info_; }
  bool closing() const override { return !closed_for.empty(); }
  void send(const net::Buffer& messages) override { push(messages); }
  void send(std::span<const std::string_view> parts) override {
    std::string message;
    zmtp::append_message(message, parts);
    push(std::make_shared<const std::string>(std::move(message)));
  }
  void send(std::string_view head, const net::Buffer& body) override {
    const std::string whole = std::string(head) + *body;
    const std::string_view part = whole;
    send(std::span(&part, 1));
  }
  std::size_t queued_bytes() const override { return bytes_; }
  void close(std::string_view reason) override {
    if (!closing()) closed_for = reason;
  }
  void pause_reading() override { reading = false; }
  void resume_reading() override { reading = true; }

  zmtp::PeerInfo& its_info() { return info_; }

  // Removes queued buffers, up to about `bytes`.
  std::vector<net::Buffer> pop_buffers(net::ConnectionEvents& events,
                                       std::size_t bytes = SIZE_MAX) {
    std::vector<net::Buffer> taken;
    for (const std::size_t before = bytes_; !queue_.empty() && before - bytes_ < bytes;) {
      bytes_ -= queue_.front()->size();
      taken.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (above_high_water_ && bytes_ <= low_water_) {
      above_high_water_ = false;
      events.on_drained(*this);
    }
    return taken;
  }
  // The same as frames, one a message.
  std::vector<std::string> drain(net::ConnectionEvents& events, std::size_t bytes = SIZE_MAX) {
    std::vector<std::string> frames;
    for (const net::Buffer& buffer : pop_buffers(events, bytes)) {
      const std::string_view message = *buffer;
      const auto header = zmtp::read_header(message);
      if (!header || header->more() ||
          header->header_bytes + header->body_bytes != message.size()) {
        frames.push_back("not one message of one frame");
      } else {
        frames.emplace_back(message.substr(header->header_bytes));
      }
    }
    return frames;
  }
  const std::deque<net::Buffer>& queue() const { return queue_; }

  bool reading = true;
  std::string closed_for;

 private:
  void push(const net::Buffer& message) {
    if (closing()) return;
    queue_.push_back(message);
    bytes_ += message->size();
    above_high_water_ |= bytes_ >= high_water_;
  }

  std::uint64_t id_;
  std::size_t high_water_;
  std::size_t low_water_;
  std::string peer_ = "192.0.2.1:4711";
  zmtp::PeerInfo info_;
  std::deque<net::Buffer> queue_;
  std::size_t bytes_ = 0;
  bool above_high_water_ = false;
};

}  // namespace canopy::proxy
