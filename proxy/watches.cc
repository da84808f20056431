#include "proxy/watches.h"

#include <algorithm>
#include <utility>

namespace canopy::proxy {

namespace native = wire::native;

Watch::Watch(Watches& owner, NativeClient& client, const native::Watch& asked)
    : owner_(owner), client_(client), number_(asked.request), subscription_(asked.subscription) {}

Watch::~Watch() {
  release();
  owner_.streams_.unsubscribe(*this);
}

void Watch::on_batch(const Streams::Batch& batch) {
  const std::size_t size = batch.message->size();
  switch (state_) {
    case State::waiting: return;
    case State::cut:
      if (!holding_ || (batch.end() <= *position_ && !batch.names)) return;  // the cut holds it
      if (owner_.fits(client_, size + owner_.reserve_)) return hold(batch);
      release();
      return;
    case State::live:
      // Another watch of this stream may have sent it on this connection.
      if (client_.last_serial == batch.serial) return;
      if (owner_.fits(client_, size)) return send_batch(batch);
      if (batch.count > 0 || batch.names) fall_behind(batch);
  }
}

// The gap message goes out at once, before another watch sends a later batch of the stream on this
// connection.
void Watch::fall_behind(const Streams::Batch& batch) {
  count_missed(batch.after, batch.end());
  send_gap(batch.count > 0 ? std::optional<std::uint64_t>(batch.count) : std::nullopt);
  position_ = batch.end();
  catch_up(owner_.streams_.revisions(*this));
}

void Watch::catch_up(std::vector<Known> has) {
  state_ = State::waiting;
  owner_.catch_ups_.reopen(client_.connection,
                           {.kind = CatchUps::Kind::watch,
                            .number = number_,
                            .subtree = subscription_.subtree,
                            .known = std::move(has),
                            .resumes = true},
                           owner_.backend_.now());
}

void Watch::on_restart(std::optional<std::size_t> renewed) {
  if (state_ != State::live && !holding_ && position_) {
    count_missed(*position_, owner_.streams_.sent(*this));
  }
  release();
  position_.reset();
  if (state_ == State::live) {
    send_gap(std::nullopt);
    catch_up(owner_.streams_.revisions(*this));
  } else {
    restarted_ |= cut_before_;
  }
  if (renewed) {
    owner_.catch_ups_.renew(client_.connection, number_, *renewed, cut_before_);
  }
}

void Watch::on_cut() {
  const Streams::Place place = owner_.streams_.cut(*this);
  if (std::exchange(restarted_, false)) send_gap(std::nullopt);
  if (position_ && place.position > *position_) {
    count_missed(*position_, place.position);
    send_gap(place.position - *position_);
  }
  if (std::exchange(cut_before_, true)) ++client_.catch_ups;
  position_ = place.position;
  state_ = State::cut;
  holding_ = true;
}

void Watch::on_sent(std::vector<Known> has) {
  if (!holding_) return catch_up(std::move(has));
  state_ = State::live;
  client_.send(native::encode(native::CaughtUp{
      .request = number_, .stream = owner_.streams_.cut(*this).number, .position = *position_}));
  for (const Streams::Batch& batch : release()) send_batch(batch);
}

void Watch::hold(const Streams::Batch& batch) {
  held_.push_back(batch);
  client_.held_bytes += batch.message->size();
  owner_.held_bytes_ += batch.message->size();
}

// Ends holding; returns the held batches.
std::vector<Streams::Batch> Watch::release() {
  for (const Streams::Batch& batch : held_) {
    client_.held_bytes -= batch.message->size();
    owner_.held_bytes_ -= batch.message->size();
  }
  holding_ = false;
  return std::exchange(held_, {});
}

void Watch::send_batch(const Streams::Batch& batch) {
  client_.connection.send(batch.message);
  client_.last_serial = std::max(client_.last_serial, batch.serial);
  owner_.delivered_.Increment(static_cast<double>(batch.count));
  owner_.delivered_bytes_.Increment(static_cast<double>(batch.message->size()));
}

void Watch::send_gap(std::optional<std::uint64_t> missed) {
  owner_.metrics_.client_gaps.Increment();
  client_.send(native::encode(native::Gap{.request = number_, .missed = missed}));
}

void Watch::count_missed(std::uint64_t from, std::uint64_t to) {
  for (const auto& [shard, updates] : owner_.streams_.missed(*this, from, to)) {
    owner_.metrics_.missed_by_clients(owner_.backend_.partitions().shard_name(shard), "native")
        .Increment(static_cast<double>(updates));
    owner_.missed_ += updates;
    client_.dropped += updates;
  }
}

Watches::Watches(Backend& backend, Metrics& metrics, Streams& streams, CatchUps& catch_ups,
                 std::size_t reserve)
    : backend_(backend),
      metrics_(metrics),
      streams_(streams),
      catch_ups_(catch_ups),
      reserve_(reserve),
      delivered_(metrics.delivered.Add({{"dialect", "native"}})),
      delivered_bytes_(metrics.delivered_bytes.Add({{"dialect", "native"}})) {}

wire::Fault Watches::open(NativeClient& client, const native::Watch& asked) {
  if (client.watches.size() >= max_per_client) return wire::Fault::too_many_requests;
  if (size_ >= max_watches) return wire::Fault::busy;
  auto watch = std::make_unique<Watch>(*this, client, asked);
  if (!streams_.subscribe(asked.subscription, *watch)) return wire::Fault::busy;
  CatchUps::Request request{.kind = CatchUps::Kind::watch,
                            .number = asked.request,
                            .subtree = asked.subscription.subtree,
                            .resumes = !asked.known.empty()};
  const Partitions& partitions = backend_.partitions();
  if (request.resumes) {
    for (const std::size_t partition : partitions.covering(request.subtree)) {
      const auto known = std::ranges::lower_bound(asked.known, partitions.subtree(partition), {},
                                                  &native::PartitionRevision::partition);
      if (known != asked.known.end() && known->partition == partitions.subtree(partition)) {
        request.known.push_back({partition, known->revision});
      }
    }
  }
  const wire::Fault fault = catch_ups_.open(client.connection, std::move(request), backend_.now());
  if (fault != wire::Fault::none) return fault;
  client.watches.emplace(asked.request, std::move(watch));
  ++size_;
  return fault;
}

bool Watches::close(NativeClient& client, std::uint64_t number) {
  if (client.watches.erase(number) == 0) return false;
  catch_ups_.drop(client.connection, number);
  --size_;
  return true;
}

void Watches::drop(NativeClient& client) {
  size_ -= client.watches.size();
  client.watches.clear();
}

}  // namespace canopy::proxy
