// Watches the keys under one prefix: lists them, then follows a watch's stream; lists them again
// when the stream ends, and each 30 s. If a list shows a change that the stream has missed, the
// stream is opened anew. Belongs to its loop.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/coordination/coordinator.h"
#include "core/coordination/etcd_gateway.h"
#include "core/coordination/etcd_view.h"
#include "core/coordination/json_splitter.h"

namespace canopy::coordination::etcd {

class Watch {
 public:
  // Bound of a list's answer, in bytes. etcd splits the messages of a watch below it.
  static constexpr std::size_t max_message_bytes = std::size_t{8} << 20;
  static constexpr std::size_t max_listed_keys = 65'536;
  static constexpr std::size_t max_listed_bytes = std::size_t{256} << 20;

  // Watches the keys that start with `root` and `prefix`; events leave the root out.
  // `gateway` outlives this.
  Watch(Gateway& gateway, const std::string& root, const std::string& prefix,
        Coordinator::Watcher watcher, Coordinator::Listed listed);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void proceed();

 private:
  void list();
  void ask_page();
  void on_page(const Gateway::Answer& answer);
  void end_list();
  void open(Revision first);
  void on_bytes(std::string_view bytes);
  void on_message(std::string_view json);
  void close();
  void tell(const std::vector<Event>& events);

  Gateway& gateway_;
  net::Loop& loop_;
  const std::string prefix_;  // with the root
  const Coordinator::Watcher watcher_;
  const Coordinator::Listed listed_;
  View view_;
  bool listing_ = false;
  List list_{};  // so far
  std::size_t list_bytes_ = 0;
  std::size_t page_keys_;
  base::TimePoint list_at_{};
  Gateway::StreamId stream_ = 0;  // 0: none
  JsonSplitter splitter_{max_message_bytes};
  net::Loop::TimerId timer_ = 0;
};

}  // namespace canopy::coordination::etcd
