#include "core/coordination/etcd_watch.h"

#include <algorithm>
#include <utility>

namespace canopy::coordination::etcd {
namespace {

constexpr base::Duration list_period = std::chrono::seconds(30);
// etcd's gateway answers with up to 4 MiB: pages of large values are made smaller.
constexpr std::size_t most_page_keys = 512;

}  // namespace

Watch::Watch(Gateway& gateway, const std::string& root, const std::string& prefix,
             Coordinator::Watcher watcher, Coordinator::Listed listed)
    : gateway_(gateway),
      loop_(gateway.loop()),
      prefix_(root + prefix),
      watcher_(std::move(watcher)),
      listed_(std::move(listed)),
      view_(prefix_, root.size()),
      page_keys_(most_page_keys) {}

Watch::~Watch() { loop_.cancel(timer_); }

void Watch::proceed() {
  if (listing_ || !gateway_.ready()) return;
  const base::TimePoint now = loop_.now();
  if (stream_ == 0 || now >= list_at_) return list();
  loop_.cancel(timer_);
  timer_ = loop_.after(list_at_ - now, [this] { proceed(); });
}

// --- lists --------------------------------------------------------------------------------------

void Watch::list() {
  listing_ = true;
  list_ = {};
  list_bytes_ = 0;
  view_.begin_list();
  ask_page();
}

// All pages are of the first one's revision.
void Watch::ask_page() {
  // The first key after the last one.
  const std::string first =
      list_.found.empty() ? prefix_ : list_.found.back().key + std::string(1, '\0');
  gateway_.call("kv/range", to_list(prefix_, first, list_.revision, page_keys_),
                [this](const Gateway::Answer& answer) { on_page(answer); });
}

void Watch::on_page(const Gateway::Answer& answer) {
  if (answer.code == Code::exhausted && gateway_.ready() && page_keys_ > 1) {
    page_keys_ /= 2;
    return ask_page();
  }
  auto page = answer.ok ? parse_list(answer.text) : base::Result<List>(base::Error{answer.text});
  if (page) {
    for (KeyValue& each : page->found) {
      list_bytes_ += each.key.size() + each.value.size();
      list_.found.push_back(std::move(each));
    }
    if (list_.revision == 0) list_.revision = page->revision;
    if (!page->more || page->found.empty()) return end_list();
    if (list_.found.size() <= max_listed_keys && list_bytes_ <= max_listed_bytes) {
      return ask_page();
    }
    page = base::Error{"too much under " + prefix_};
  }
  listing_ = false;
  if (gateway_.ready()) gateway_.pause(page.error());
}

void Watch::end_list() {
  listing_ = false;
  list_at_ = loop_.now() + list_period;
  page_keys_ = most_page_keys;
  const List list = std::exchange(list_, {});
  std::vector<Event> events;
  view_.apply_list(list.revision, list.found, events);
  if (!events.empty()) close();
  if (stream_ == 0 && gateway_.ready()) open(list.revision + 1);
  tell(events);
  if (listed_) listed_();
  proceed();
}

// --- the stream ---------------------------------------------------------------------------------

void Watch::open(Revision first) {
  splitter_ = JsonSplitter(max_message_bytes);
  stream_ = gateway_.stream(
      "watch", to_watch(prefix_, first), [this](std::string_view bytes) { on_bytes(bytes); },
      [this](const Gateway::Answer& answer) {
        stream_ = 0;
        if (gateway_.ready()) gateway_.pause(answer.text);
        proceed();
      });
}

void Watch::close() {
  if (stream_ != 0) gateway_.cancel(std::exchange(stream_, 0));
}

void Watch::on_bytes(std::string_view bytes) {
  const bool fine = splitter_.feed(bytes, [this, stream = stream_](std::string_view json) {
    if (stream_ == stream) on_message(json);  // which a watcher may have closed meanwhile
  });
  if (fine) return;
  close();
  gateway_.distrust("a watch that is no stream of JSON objects");
}

void Watch::on_message(std::string_view json) {
  const auto message = parse_watch(json);
  if (!message) {
    close();
    return gateway_.distrust(message.error());
  }
  std::vector<Event> events;
  view_.apply(*message, events);
  if (message->canceled) {
    close();
    if (!message->compacted) gateway_.distrust("watch ended: " + message->reason);
    proceed();
  }
  tell(events);
}

void Watch::tell(const std::vector<Event>& events) {
  for (const Event& event : events) watcher_(event);
}

}  // namespace canopy::coordination::etcd
