// The sockets of one native client, as its session asks for them: DEALER and SUB to the proxy in
// use, watched by its worker's poll. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/network.h"
#include "client/session.h"
#include "core/net/socket.h"
#include "loadtest/poll.h"

namespace canopy::loadtest {

class NativeLink final : public client::Network {
 public:
  // `keys` are those of CURVE, if any; `tag` is the client's number at the poll; `message` is
  // reused for every receive.
  NativeLink(net::Context& context, const std::optional<net::CurveClient>& keys, Poll& poll,
             std::uint32_t tag, int receive_hwm, net::Message& message)
      : context_(context),
        keys_(keys),
        poll_(poll),
        tag_(tag),
        receive_hwm_(receive_hwm),
        message_(message) {}
  ~NativeLink() override { disconnect(); }

  // Passes what waits at the socket to the session, which may change the link meanwhile.
  void read(std::uint32_t slot, client::Session& session);
  // Write requests sent.
  std::uint64_t writes() const { return writes_; }

  void connect(const client::Target& target) override;
  void disconnect() override;
  void subscribe(std::string_view topic) override;
  void unsubscribe(std::string_view topic) override;
  void send(std::string frame) override;
  // The proxies are given: no broker is ever asked.
  void ask_broker(const std::string&, std::string) override {}
  void leave_broker() override {}

 private:
  enum Slot : std::uint32_t { requests, streams };

  void open(Slot slot, net::SocketType type, const std::string& endpoint);
  // Its descriptor may have been swallowed: to be read soon.
  void read_soon(Slot slot);

  net::Context& context_;
  const std::optional<net::CurveClient>& keys_;
  Poll& poll_;
  const std::uint32_t tag_;
  const int receive_hwm_;
  net::Message& message_;
  std::array<std::optional<net::Socket>, 2> sockets_{};
  std::array<bool, 2> soon_{};
  std::uint64_t links_ = 0;  // opened or closed so far
  std::uint64_t writes_ = 0;
};

}  // namespace canopy::loadtest
