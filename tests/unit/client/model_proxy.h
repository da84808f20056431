// A proxy in memory, with one client: mirrors the shards as far as the test lets it, and speaks the
// native protocol.
#pragma once

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

  Proxy(std::string name, Shards& shards) : name_(std::move(name)), shards_(shards) {
    for (const std::string& each : shards.partitions()) reached_[each] = Revision(1, 0);
  }

  Target target() const {
    return {.name = name_, .requests = "tcp://" + name_ + ":1", .streams = "tcp://" + name_ + ":2"};
  }

  void attach(Send stream, Send answer) {
    stream_ = std::move(stream);
    answer_ = std::move(answer);
  }
  void detach() {
    stream_ = answer_ = nullptr;
    streams_.clear();
    held_.clear();
    sending_.clear();
  }

  // Another process takes its place: streams begin anew, requests are forgotten.
  void restart() {
    held_.clear();
    sending_.clear();
    for (auto& [topic, stream] : streams_) stream = new_stream(stream.subscription);
    heartbeat();
  }

  void subscribe(std::string_view topic) {
    const auto subscription = native::parse_topic(topic);
    if (!subscription || refuse == wire::Fault::forbidden) return;
    streams_[std::string(topic)] = new_stream(*subscription);
    if (silent_streams) return;
    send_batch(streams_[std::string(topic)], {}, true);
  }
  void unsubscribe(std::string_view topic) { streams_.erase(std::string(topic)); }

  void on_request(std::string_view frame) {
    const auto request = native::decode_to_proxy(frame);
    if (const auto* refusal = std::get_if<native::Refusal>(&request)) {
      unreadable.push_back(*refusal);
      return;
    }
    std::visit([this](const auto& each) { on(each); }, std::get<native::ToProxy>(request));
  }

  // Takes what the shards have committed, up to `records` of it, and puts it on the streams.
  void follow(std::size_t records = SIZE_MAX) {
    std::vector<keyspace::Update> updates;
    for (; records > 0 && followed_ < shards_.log.size(); --records) {
      const Shards::Record& record = shards_.log[followed_++];
      if (record.reset) {
        for (const keyspace::Update& each : gone_by(record)) updates.push_back(each);
      } else {
        updates.push_back(record.update);
      }
      apply(record);
    }
    if (!updates.empty()) publish(updates);
    serve();
  }

  // Sends what `latest` streams have gathered.
  void flush() {
    for (auto& [topic, stream] : streams_) {
      std::vector<keyspace::Update> updates;
      for (const auto& [key, update] : stream.pending) updates.push_back(update);
      stream.pending.clear();
      if (!updates.empty()) send_batch(stream, updates, true);
    }
  }
  void heartbeat() {
    for (auto& [topic, stream] : streams_) {
      if (stream.pending.empty()) send_batch(stream, {}, true);
    }
  }
  void move(std::uint32_t within_ms) {
    for (auto& [topic, stream] : streams_) stream_(native::encode_move(topic, within_ms));
  }

  bool alive = true;
  bool silent_streams = false;             // a new subscription is not answered
  std::size_t chunk_entries = 2;           // at most, in one chunk
  std::size_t batch_updates = 3;           // at most, in one batch
  std::size_t log_reach = SIZE_MAX;        // records back that it can tell changes from
  std::set<std::string> voided;            // partitions whose epoch was used twice
  wire::Fault refuse = wire::Fault::none;  // every request
  std::function<void(native::ChunkHeader&)> distort;
  std::vector<native::Fetch> fetches;  // as they came
  std::vector<wire::WriteRequest> writes;
  std::vector<native::Refusal> unreadable;
  std::uint64_t dropped = 0;  // updates, as gaps report them

 private:
  struct Stream {
    native::Subscription subscription{};
    std::uint64_t incarnation = 0;
    std::uint64_t end = 0;
    std::map<std::string, keyspace::Update> pending{};  // latest only
  };
  struct Sending {
    std::deque<std::string> chunks{};
    std::uint32_t credit = 0;
  };

  Stream new_stream(const native::Subscription& subscription) {
    return {.subscription = subscription, .incarnation = next_incarnation_++, .end = 7};
  }

  void refused(std::uint64_t request, wire::Fault fault) {
    answer_(native::encode(
        native::Refusal{.request = request, .fault = fault, .text = "no", .revision = {}}));
  }
  void on(const wire::WriteRequest& request) {
    writes.push_back(request);
    if (refuse != wire::Fault::none) return refused(request.number, refuse);
    const auto outcome = shards_.write(request);
    std::visit([this](const auto& each) { answer_(native::encode(each)); }, outcome);
  }
  void on(const native::Fetch& fetch) {
    fetches.push_back(fetch);
    if (fetch.gap) dropped += fetch.gap->saw - fetch.gap->had;
    if (refuse != wire::Fault::none) return refused(fetch.request, refuse);
    if (!fetch.topic.empty() && !streams_.contains(fetch.topic)) {
      return refused(fetch.request, wire::Fault::not_subscribed);
    }
    held_.push_back(fetch);
    serve();
  }
  void on(const native::Credit& credit) {
    sending_[credit.request].credit += credit.chunks;
    serve();
  }

  void serve() {
    if (!answer_) return;
    for (auto at = held_.begin(); at != held_.end();) {
      const bool reached = std::all_of(at->known.begin(), at->known.end(), [&](const auto& known) {
        if (voided.contains(known.partition)) return true;
        const auto mine = reached_.find(known.partition);
        return mine == reached_.end() || mine->second >= known.revision;
      });
      if (reached) answer(*at);
      at = reached ? held_.erase(at) : at + 1;
    }
    for (auto& [request, sending] : sending_) {
      for (; sending.credit > 0 && !sending.chunks.empty(); --sending.credit) {
        answer_(std::move(sending.chunks.front()));
        sending.chunks.pop_front();
      }
    }
  }

  void answer(const native::Fetch& fetch) {
    const auto stream = streams_.find(fetch.topic);
    const std::string owner = shards_.owner(fetch.subtree);
    std::vector<std::string> names{owner};
    for (const std::string& each : shards_.partitions()) {
      if (each != owner && each.starts_with(fetch.subtree)) names.push_back(each);
    }
    Sending& sending = sending_[fetch.request];
    sending.credit += fetch.credit;
    std::uint32_t number = 0;
    for (const std::string& name : names) {
      native::ChunkHeader header{
          .request = fetch.request, .partition = name, .revision = reached_[name]};
      if (stream != streams_.end()) {
        header.incarnation = stream->second.incarnation;
        header.position = stream->second.end;
      }
      const bool is_known = std::any_of(fetch.known.begin(), fetch.known.end(),
                                        [&](const auto& each) { return each.partition == name; });
      if (is_known && voided.contains(name)) {
        native::ChunkHeader void_header = header;
        void_header.number = number++;
        void_header.revision = {};
        void_header.more = native::ChunkHeader::More::next_partition;
        sending.chunks.push_back(native::encode_chunk(void_header, ""));
      }
      const auto entries = entries_for(fetch, name, header.mode);
      std::size_t sent = 0;
      do {
        const std::size_t count = std::min(chunk_entries, entries.size() - sent);
        std::string body;
        for (std::size_t i = 0; i < count; ++i) native::append_entry(body, entries[sent + i]);
        sent += count;
        header.number = number++;
        header.count = static_cast<std::uint32_t>(count);
        using More = native::ChunkHeader::More;
        header.more = sent < entries.size()  ? More::same_partition
                      : name == names.back() ? More::last
                                             : More::next_partition;
        native::ChunkHeader said = header;
        if (distort) distort(said);
        sending.chunks.push_back(native::encode_chunk(said, body));
      } while (sent < entries.size());
    }
  }

  // What answers for one partition, and in which mode.
  std::vector<keyspace::Update> entries_for(const native::Fetch& fetch, const std::string& name,
                                            native::ChunkHeader::Mode& mode) const {
    const auto known = std::find_if(fetch.known.begin(), fetch.known.end(),
                                    [&](const auto& each) { return each.partition == name; });
    std::size_t oldest = followed_ - std::min(followed_, log_reach);
    for (std::size_t i = oldest; i < followed_; ++i) {
      if (shards_.log[i].reset && shards_.log[i].partition == name) oldest = i + 1;
    }
    const bool tellable =
        !voided.contains(name) && known != fetch.known.end() &&
        known->revision.epoch() == reached_.at(name).epoch() &&
        std::none_of(shards_.log.begin(), shards_.log.begin() + static_cast<std::ptrdiff_t>(oldest),
                     [&](const auto& record) {
                       return record.partition == name && !record.reset &&
                              record.revision > known->revision;
                     });
    std::map<std::string, keyspace::Update> entries;
    mode = tellable ? native::ChunkHeader::Mode::changes : native::ChunkHeader::Mode::full;
    if (!tellable) {
      for (const auto& [key, update] : mirror_) {
        if (shards_.owner(key) == name) entries[key] = update;
      }
    } else {
      for (std::size_t i = oldest; i < followed_; ++i) {
        const Shards::Record& record = shards_.log[i];
        if (record.partition == name && record.revision > known->revision) {
          entries[record.update.key] = record.update;
        }
      }
    }
    std::vector<keyspace::Update> chosen;
    for (const auto& [key, update] : entries) {
      if (native::covers(fetch.subtree, key)) chosen.push_back(update);
    }
    return chosen;
  }

  // A mirror passes on what differs.
  std::vector<keyspace::Update> gone_by(const Shards::Record& reset) const {
    std::vector<keyspace::Update> gone;
    for (const auto& [key, update] : mirror_) {
      if (shards_.owner(key) != reset.partition || reset.kept.contains(key)) continue;
      gone.push_back({.key = key, .revision = reset.revision, .deleted = true});
    }
    return gone;
  }

  void apply(const Shards::Record& record) {
    reached_[record.partition] = record.revision;
    if (record.reset) {
      for (const keyspace::Update& each : gone_by(record)) mirror_.erase(each.key);
    } else if (record.update.deleted) {
      mirror_.erase(record.update.key);
    } else {
      mirror_[record.update.key] = record.update;
    }
  }

  void publish(const std::vector<keyspace::Update>& updates) {
    for (auto& [topic, stream] : streams_) {
      std::vector<keyspace::Update> mine;
      for (const keyspace::Update& each : updates) {
        if (!native::covers(stream.subscription.subtree, each.key)) continue;
        if (stream.subscription.latest_ms > 0) {
          stream.pending[each.key] = each;
        } else {
          mine.push_back(each);
        }
      }
      for (std::size_t sent = 0; sent < mine.size();) {
        const std::size_t count = std::min(batch_updates, mine.size() - sent);
        const auto first = mine.begin() + static_cast<std::ptrdiff_t>(sent);
        sent += count;
        send_batch(stream, {first, first + static_cast<std::ptrdiff_t>(count)},
                   sent == mine.size());
      }
    }
  }

  void send_batch(Stream& stream, const std::vector<keyspace::Update>& updates, bool last) {
    native::BatchHeader header{.incarnation = stream.incarnation,
                               .after = stream.end,
                               .count = static_cast<std::uint32_t>(updates.size())};
    if (last) {
      for (const auto& [name, revision] : reached_) header.revisions.push_back({name, revision});
    }
    std::string body;
    for (const keyspace::Update& each : updates) native::append_entry(body, each);
    stream.end += updates.size();
    if (!stream_) return;
    const bool lz4 = stream.subscription.lz4 && !body.empty();
    stream_(native::encode_batch(native::topic(stream.subscription), header,
                                 lz4 ? native::compress(body) : body, lz4 ? body.size() : 0));
  }

  std::string name_;
  Shards& shards_;
  std::size_t followed_ = 0;  // records of the shards' log
  std::map<std::string, keyspace::Update> mirror_;
  std::map<std::string, Revision> reached_;
  std::map<std::string, Stream> streams_;
  std::deque<native::Fetch> held_;
  std::map<std::uint64_t, Sending> sending_;
  std::uint64_t next_incarnation_ = 1000;
  Send stream_, answer_;
};

}  // namespace canopy::client::model
