// Watches of streams that keep their batches.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/zmtp/frame.h"
#include "proxy/streams.h"
#include "tests/unit/proxy/mirrored.h"

namespace canopy::proxy {

struct SentBatch {
  std::string subtree{};
  wire::native::BatchHeader header{};
  std::vector<std::string> entries{};  // key=value
  bool compressed = false;
  net::Buffer buffer{};
  std::uint64_t serial = 0;
};

// A watch that keeps its batches.
struct Kept final : Streams::Watcher {
  Kept(Streams& its_streams, wire::native::Subscription its_subscription,
       std::vector<SentBatch>& all)
      : streams(its_streams), subscription(std::move(its_subscription)), sent(all) {}
  ~Kept() { streams.unsubscribe(*this); }

  void on_batch(const Streams::Batch& batch) override {
    const auto zmtp = zmtp::read_header(*batch.message);
    wire::native::FromProxy message;
    const std::string_view frame =
        std::string_view(*batch.message).substr(zmtp.value().header_bytes);
    const auto status = wire::native::decode_from_proxy(frame, message);
    ASSERT_TRUE(status) << status.error();
    const auto& decoded = std::get<wire::native::Batch>(message);
    EXPECT_EQ(decoded.header.after, batch.after);
    EXPECT_EQ(decoded.header.count, batch.count);
    said_before = streams.revisions(*this);
    SentBatch one{.subtree = subscription.subtree,
                  .header = decoded.header,
                  .compressed = !decoded.unpacked.empty(),
                  .buffer = batch.message,
                  .serial = batch.serial};
    for (const auto& entry : decoded.entries) {
      one.entries.push_back(std::string(entry.key) + "=" + std::string(entry.value));
    }
    sent.push_back(std::move(one));
  }
  void on_restart(std::optional<std::size_t> renewed) override {
    restarts.push_back(renewed);
    said_before = streams.revisions(*this);
  }

  Streams& streams;
  wire::native::Subscription subscription;
  std::vector<SentBatch>& sent;
  std::vector<std::optional<std::size_t>> restarts;
  std::vector<Known> said_before;
};

class StreamsTest : public testing::Test {
 protected:
  static constexpr base::TimePoint start{std::chrono::hours(1)};

  StreamsTest() {
    mirrored.sync(0);
    mirrored.sync(1);
    streams.begin(100, start);
  }

  std::unique_ptr<Kept> watch(wire::native::Subscription subscription) {
    auto watcher = std::make_unique<Kept>(streams, subscription, sent);
    EXPECT_TRUE(streams.subscribe(subscription, *watcher));
    return watcher;
  }
  void put(const std::string& key, const std::string& value) {
    streams.append(mirrored.update(key, value), mirrored.owner(key));
  }
  std::vector<SentBatch> flush(base::TimePoint now = start) {
    EXPECT_FALSE(streams.flush(now));
    return std::exchange(sent, {});
  }

  Mirrored mirrored{{"/a/", ""}};
  MirrorLeases leases;
  Streams streams{mirrored, [this](std::string_view prefix) {
                    return leases.hold(prefix, mirrored.covering(prefix));
                  }};
  std::vector<SentBatch> sent;
};

}  // namespace canopy::proxy
