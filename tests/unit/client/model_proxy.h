// A proxy in memory, with one client: mirrors the shards as far as the test lets it, and speaks the
// native protocol. Watches are behind or live; its queue takes as many frames as `room` says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>

#include "client/network.h"
#include "tests/unit/client/model_shards.h"

namespace canopy::client::model {

class Proxy {
 public:
  using Send = std::function<void(std::string frame)>;
  using Updates = std::vector<Update>;

  Proxy(std::string name, Shards& shards) : name_(std::move(name)), shards_(shards) {
    for (const std::string& each : shards.partitions()) reached_[each] = Revision(1, 0);
  }

  Target target() const { return {.name = name_, .endpoint = "tcp://" + name_ + ":1"}; }

  void attach(Send send) { send_ = std::move(send); }
  // The connection ends, and all that was known of the client with it.
  void detach() {
    send_ = nullptr;
    announced_ = false;
    watches_.clear();
    streams_.clear();
    held_.clear();
  }

  void on_request(std::string_view frame) {
    if (!send_) return;
    const auto request = native::decode_to_proxy(frame);
    if (const auto* refusal = std::get_if<native::Refusal>(&request)) {
      unreadable.push_back(*refusal);
      return;
    }
    const auto& known = std::get<native::ToProxy>(request);
    EXPECT_NE(std::exchange(announced_, true), std::holds_alternative<native::Announce>(known));
    std::visit([this](const auto& each) { on(each); }, known);
  }

  // Takes what the shards have committed, up to `records` of it, and puts it on the streams.
  void follow(std::size_t records = SIZE_MAX) {
    for (; records > 0 && followed_ < shards_.log.size(); --records) {
      const Shards::Record& record = shards_.log[followed_++];
      if (record.reset) {
        for (const Update& each : gone_by(record)) gather(each);
      } else {
        gather(record.update);
      }
      apply(record);
    }
    if (!lingers) flush(false);
    serve();
  }
  // Sends what the streams have gathered.
  void flush(bool latest = true) {
    for (auto& [subscription, stream] : streams_) {
      if (subscription.latest_ms > 0 && !latest) continue;
      for (auto& [key, update] : stream.pending) stream.gathered.push_back(update);
      stream.pending.clear();
      const Updates updates = std::exchange(stream.gathered, {});
      for (std::size_t sent = 0; sent < updates.size();) {
        const auto first = updates.begin() + static_cast<std::ptrdiff_t>(sent);
        const std::size_t count = std::min(batch_updates, updates.size() - sent);
        sent += count;
        send_batch(subscription, stream, {first, first + static_cast<std::ptrdiff_t>(count)},
                   sent == updates.size());
      }
    }
  }
  void heartbeat() {
    for (auto& [subscription, stream] : streams_) {
      if (stream.gathered.empty()) send_batch(subscription, stream, {}, stream.pending.empty());
    }
  }
  // Goes on with what `room` or a lag has held up.
  void serve() {
    for (auto at = held_.begin(); at != held_.end();) {
      const bool reached = std::all_of(at->known.begin(), at->known.end(), [&](const auto& known) {
        return reached_[known.partition] >= known.revision;
      });
      if (reached) begin(*at);
      at = reached ? held_.erase(at) : at + 1;
    }
    for (auto& [request, watch] : watches_) catch_up(request, watch);
  }
  void move(std::uint32_t within_ms) { send(native::encode(native::Move{within_ms})); }
  // The partition has a new history, whose revisions may be used a second time.
  void renew(const std::string& partition) {
    voided.insert(partition);
    for (auto& [request, watch] : watches_) {
      send(native::encode(native::Gap{.request = request}));
      begin_round(request, watch, {partition});
    }
    serve();
  }

  bool alive = true;
  bool reads_nothing = false;              // but sends
  bool lingers = false;                    // until flush()
  bool waits = false;                      // to know all that a watch knows, before it answers
  std::size_t room = SIZE_MAX;             // frames that its queue still takes
  std::size_t chunk_entries = 2;           // at most, in one chunk
  std::size_t batch_updates = 3;           // at most, in one batch
  std::size_t log_reach = SIZE_MAX;        // records back that it can tell changes from
  std::set<std::string> voided;            // partitions whose epoch was used twice
  wire::Fault refuse = wire::Fault::none;  // every request
  std::function<void(native::ChunkHeader&)> distort;
  std::vector<native::Announce> announcements;  // as they came
  std::vector<native::Watch> watches;
  std::vector<native::Unwatch> unwatches;
  std::vector<wire::WriteRequest> writes;
  std::vector<native::Refusal> unreadable;
  int pings = 0;
  std::uint64_t dropped = 0;  // updates, as gaps tell them

 private:
  using Known = std::map<std::string, Revision>;
  using Names = std::set<std::string>;
  using More = native::ChunkHeader::More;

  struct Stream {
    std::uint64_t id = 0;
    std::uint64_t end = 7;
    Updates gathered{};                       // not sent yet
    std::map<std::string, Update> pending{};  // latest: not numbered yet
    std::uint64_t position() const { return end + gathered.size(); }
  };
  struct Watching {
    native::Subscription subscription{};
    Known sent{};
    std::uint64_t position = 0;
    bool live = false;
    std::deque<std::string> chunks{};  // of the round under way
  };

  void send(std::string frame) {
    if (send_) send_(std::move(frame));
  }
  bool send_if_room(const std::string& frame) {
    if (room == 0) return false;
    --room;
    send(frame);
    return true;
  }

  bool refused(std::uint64_t request, native::Kind of) {
    if (refuse == wire::Fault::none) return false;
    send(native::encode(native::Refusal{
        .request = request, .fault = refuse, .text = "no", .of = static_cast<unsigned>(of)}));
    return true;
  }
  void on(const native::Announce& announcement) {
    announcements.push_back(announcement);
    send(native::encode(native::Welcome{.request = announcement.request, .proxy = name_}));
  }
  void on(const native::Ping& ping) {
    ++pings;
    send(native::encode(native::Pong{.request = ping.request}));
  }
  void on(wire::WriteRequest request) {
    request.client = announcements.back().client;
    writes.push_back(request);
    if (refused(request.number, native::Kind::write)) return;
    std::visit([this](const auto& each) { send(native::encode(each)); }, shards_.write(request));
  }
  void on(const native::Clients&) { ADD_FAILURE() << "not for sessions"; }
  void on(const native::Kick&) { ADD_FAILURE() << "not for sessions"; }
  void on(const native::Get& get) {
    if (refused(get.request, native::Kind::get)) return;
    const auto found = mirror_.find(get.key);
    const auto entry = found == mirror_.end() ? nullptr : wire::make_update(found->second);
    send(native::encode_got(get.request, entry.get()));
  }
  void on(const native::List& list) {
    if (refused(list.request, native::Kind::list)) return;
    for (std::string& frame : round(list.request, list.subtree, {}, {}, list.limit)) {
      send(std::move(frame));
    }
  }
  void on(const native::Watch& watch) {
    watches.push_back(watch);
    if (refused(watch.request, native::Kind::watch)) return;
    if (!waits) return begin(watch);
    held_.push_back(watch);
    serve();
  }
  void on(const native::Unwatch& unwatch) {
    unwatches.push_back(unwatch);
    std::erase_if(held_, [&](const auto& each) { return each.request == unwatch.request; });
    watches_.erase(unwatch.request);
    std::erase_if(streams_, [&](const auto& stream) {
      return std::none_of(watches_.begin(), watches_.end(), [&](const auto& watch) {
        return watch.second.subscription == stream.first;
      });
    });
  }

  void begin(const native::Watch& request) {
    Watching& watch = watches_[request.request];
    watch.subscription = request.subscription;
    Names void_of;  // of which history it knows them cannot be told
    for (const auto& [partition, revision] : request.known) {
      watch.sent[partition] = revision;
      if (voided.contains(partition)) void_of.insert(partition);
    }
    const auto [stream, is_new] = streams_.try_emplace(watch.subscription);
    if (is_new) stream->second.id = next_stream_++;
    begin_round(request.request, watch, void_of);
    catch_up(request.request, watch);
  }

  void begin_round(std::uint64_t request, Watching& watch, const Names& void_of) {
    watch.live = false;
    watch.position = streams_.at(watch.subscription).position();
    watch.chunks = round(request, watch.subscription.subtree, watch.sent, void_of, 0);
    watch.sent = reached_;
  }

  // Chunks, and more of them if the stream has moved on meanwhile.
  void catch_up(std::uint64_t request, Watching& watch) {
    while (!watch.live) {
      while (!watch.chunks.empty()) {
        if (!send_if_room(watch.chunks.front())) return;
        watch.chunks.pop_front();
      }
      if (room == 0) return;
      const Stream& stream = streams_.at(watch.subscription);
      const std::uint64_t missed = stream.position() - watch.position;
      if (missed > 0) {
        dropped += missed;
        send(native::encode(native::Gap{.request = request, .missed = missed}));
        begin_round(request, watch, {});
        continue;
      }
      watch.live = true;
      send(native::encode(native::CaughtUp{request, stream.id, watch.position}));
    }
  }

  // The frames that bring a watch or list on from what is known.
  std::deque<std::string> round(std::uint64_t request, const std::string& subtree,
                                const Known& known, const Names& void_of, std::uint64_t limit) {
    const std::string owner = shards_.owner(subtree);
    std::vector<std::string> names{owner};
    for (const std::string& each : shards_.partitions()) {
      if (each != owner && each.starts_with(subtree)) names.push_back(each);
    }
    std::deque<std::string> frames;
    std::size_t found = 0;
    for (const std::string& name : names) {
      native::ChunkHeader header{.request = request, .partition = name, .revision = reached_[name]};
      if (void_of.contains(name)) {
        native::ChunkHeader void_header = header;
        void_header.revision = {};
        void_header.more = More::next_partition;
        frames.push_back(native::encode_chunk(void_header, ""));
      }
      const bool is_known = known.contains(name) && !void_of.contains(name);
      const Updates entries = entries_for(
          subtree, name, is_known ? std::optional(known.at(name)) : std::nullopt, header.mode);
      std::size_t sent = 0;
      do {
        const std::size_t count = std::min(chunk_entries, entries.size() - sent);
        std::string body;
        for (std::size_t i = 0; i < count; ++i) wire::append_entry(body, entries[sent + i]);
        sent += count;
        found += count;
        const bool enough = limit > 0 && found >= limit;
        header.count = static_cast<std::uint32_t>(count);
        header.more = enough                  ? More::last
                      : sent < entries.size() ? More::same_partition
                      : name == names.back()  ? More::last
                                              : More::next_partition;
        native::ChunkHeader cut = header;
        if (distort) distort(cut);
        frames.push_back(native::encode_chunk(cut, body));
        if (enough) return frames;
      } while (sent < entries.size());
    }
    return frames;
  }

  // What answers for one partition, and in which mode.
  Updates entries_for(const std::string& subtree, const std::string& name,
                      std::optional<Revision> known, native::ChunkHeader::Mode& mode) const {
    std::size_t oldest = followed_ - std::min(followed_, log_reach);
    for (std::size_t i = oldest; i < followed_; ++i) {
      if (shards_.log[i].reset && shards_.log[i].partition == name) oldest = i + 1;
    }
    const bool tellable =
        known && known->epoch() == reached_.at(name).epoch() &&
        std::none_of(shards_.log.begin(), shards_.log.begin() + static_cast<std::ptrdiff_t>(oldest),
                     [&](const auto& record) {
                       return record.partition == name && !record.reset && record.revision > *known;
                     });
    std::map<std::string, Update> entries;
    mode = tellable ? native::ChunkHeader::Mode::changes : native::ChunkHeader::Mode::full;
    if (!tellable) {
      for (const auto& [key, update] : mirror_) {
        if (shards_.owner(key) == name) entries[key] = update;
      }
    } else {
      for (std::size_t i = oldest; i < followed_; ++i) {
        const Shards::Record& record = shards_.log[i];
        if (record.partition == name && record.revision > *known) {
          entries[record.update.key] = record.update;
        }
      }
    }
    Updates chosen;
    for (const auto& [key, update] : entries) {
      if (native::covers(subtree, key)) chosen.push_back(update);
    }
    return chosen;
  }

  // A mirror passes on what differs.
  Updates gone_by(const Shards::Record& reset) const {
    Updates gone;
    for (const auto& [key, update] : mirror_) {
      if (shards_.owner(key) != reset.partition || reset.kept.contains(key)) continue;
      gone.push_back({.key = key, .revision = reset.revision, .deleted = true});
    }
    return gone;
  }

  void apply(const Shards::Record& record) {
    reached_[record.partition] = record.revision;
    if (record.reset) {
      for (const Update& each : gone_by(record)) mirror_.erase(each.key);
    } else if (record.update.deleted) {
      mirror_.erase(record.update.key);
    } else {
      mirror_[record.update.key] = record.update;
    }
  }

  void gather(const Update& update) {
    for (auto& [subscription, stream] : streams_) {
      if (!native::covers(subscription.subtree, update.key)) continue;
      if (subscription.latest_ms > 0) {
        stream.pending[update.key] = update;
      } else {
        stream.gathered.push_back(update);
      }
    }
  }

  // Once for all watches of the stream; watches without room fall behind.
  void send_batch(const native::Subscription& subscription, Stream& stream, const Updates& updates,
                  bool last) {
    native::BatchHeader header{.stream = stream.id,
                               .after = stream.end,
                               .count = static_cast<std::uint32_t>(updates.size())};
    if (last) {
      for (const auto& [name, revision] : reached_) header.revisions.push_back({name, revision});
    }
    std::string body;
    for (const Update& each : updates) wire::append_entry(body, each);
    stream.end += updates.size();
    std::vector<Watching*> live;
    for (auto& [request, watch] : watches_) {
      if (watch.live && watch.subscription == subscription) live.push_back(&watch);
    }
    if (live.empty()) return;
    const bool lz4 = subscription.lz4 && !body.empty();
    const bool sent = send_if_room(
        native::encode_batch(header, lz4 ? native::compress(body) : body, lz4 ? body.size() : 0));
    for (Watching* watch : live) {
      watch->live = sent || updates.empty();
      if (sent) watch->position = std::max(watch->position, stream.end);
      if (sent && last) watch->sent = reached_;
    }
  }

  std::string name_;
  Shards& shards_;
  std::size_t followed_ = 0;  // records of the shards' log
  std::map<std::string, Update> mirror_;
  Known reached_;
  std::map<native::Subscription, Stream> streams_;
  std::map<std::uint64_t, Watching> watches_;
  std::deque<native::Watch> held_;
  std::uint64_t next_stream_ = 1000;
  Send send_;
  bool announced_ = false;
};

}  // namespace canopy::client::model
