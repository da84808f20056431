// A Clone client as in the ZeroMQ guide: DEALER to the snapshot port, SUB to the updates port, PUSH
// (chp: PUB) to the collector port. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/wire/clone.h"
#include "core/wire/member.h"
#include "loadtest/load_client.h"
#include "loadtest/zmq_socket.h"

namespace canopy::loadtest {

class CloneClient final : public LoadClient {
 public:
  CloneClient(std::uint32_t id, std::uint32_t tag, Context& context);

  base::Status join(std::int64_t now_us) override;
  bool publish() override;
  void leave() override;

 private:
  base::Status connect(const wire::Triple& triple);
  void read_snapshot();
  void on_entry(const ZmqMessage& message);
  void read_updates();
  // `now_us` is when the clock was last read.
  void on_update(const ZmqMessage& message, std::int64_t& now_us);
  void on_foreign(std::string_view key);

  const wire::clone::Dialect dialect_;
  const std::uint32_t run_;  // run_of() the run
  std::int64_t asked_us_ = 0;
  std::optional<ZmqSocket> snapshot_, updates_, collector_;
};

}  // namespace canopy::loadtest
