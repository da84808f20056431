// Logging: one line an event, on stderr: level, time (RFC 3339, local with its zone), component,
// message, key=value. As JSON with the time in seconds since the Unix epoch.
//
//   log::warn("upstream", "hole repaired", {{"shard", name}, {"missed", count}});
//
// Thread-safe. Values of keys and payloads of users are never logged.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace canopy::base::log {

enum class Level { debug, info, warn, error };
enum class Format { text, json };

struct Field {
  template <typename T>
  requires std::integral<T> || std::floating_point<T> Field(std::string_view field_name, T number)
      : name(field_name), value(std::to_string(number)) {}
  Field(std::string_view field_name, std::string_view text)
      : name(field_name), value(text), quoted(true) {}
  Field(std::string_view field_name, const char* text)
      : Field(field_name, std::string_view(text)) {}
  Field(std::string_view field_name, const std::string& text)
      : Field(field_name, std::string_view(text)) {}

  std::string_view name;
  std::string value;
  bool quoted = false;
};
using Fields = std::initializer_list<Field>;

// As it stands in a line: "warning" for warn.
const char* name(Level level);
// "debug", "info", "warn", "error"; "text", "json". Anything else is info, or text.
Level to_level(std::string_view name);
Format to_format(std::string_view name);

// Call once, before threads start. `program` names the process in every line, such as "proxy/p1".
void configure(std::string_view program, Level level, Format format);
// At any time.
void set_level(Level level);

// Receives the events of a thread, of every level: `text` is "component: message key=value" and
// valid during the call.
using Sink = std::function<void(Level level, std::string_view text)>;
// Events of the calling thread go to `sink` instead of stderr. The client library uses it: a
// library does not write to its user's stderr.
void set_thread_sink(Sink sink);

void write(Level level, std::string_view component, std::string_view message, Fields fields);

inline void debug(std::string_view component, std::string_view message, Fields fields = {}) {
  write(Level::debug, component, message, fields);
}
inline void info(std::string_view component, std::string_view message, Fields fields = {}) {
  write(Level::info, component, message, fields);
}
inline void warn(std::string_view component, std::string_view message, Fields fields = {}) {
  write(Level::warn, component, message, fields);
}
inline void error(std::string_view component, std::string_view message, Fields fields = {}) {
  write(Level::error, component, message, fields);
}

// For events that the network can provoke: logs one line a second per call site, with the number
// of lines that it dropped. Not thread-safe: each belongs to one loop.
class RateLimited {
 public:
  void warn(std::string_view component, std::string_view message, Fields fields = {});

 private:
  std::chrono::steady_clock::time_point next_{};
  unsigned long suppressed_ = 0;
};

}  // namespace canopy::base::log
