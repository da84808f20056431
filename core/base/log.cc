#include "core/base/log.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace canopy::base::log {
namespace {

struct State {
  std::string program = "canopy";
  Format format = Format::text;
  std::atomic<Level> level = Level::info;
};

State& state() {
  static State instance;
  return instance;
}

// Of this thread; empty: events go to stderr.
Sink& thread_sink() {
  thread_local Sink sink;
  return sink;
}

// printf into the end of `out`: `text` is the format, and no result is longer than 64 bytes.
template <typename... Values>
void append(std::string& out, const char* text, Values... values) {
  std::array<char, 64> buffer{};
  const int size = std::snprintf(buffer.data(), buffer.size(), text, values...);
  out.append(buffer.data(), static_cast<std::size_t>(size));
}

// RFC 3339, local time with its zone.
void append_time(std::string& out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  localtime_r(&now.tv_sec, &local);
  std::array<char, 32> date{};
  out.append(date.data(), std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &local));
  const long minutes = std::labs(local.tm_gmtoff) / 60;
  append(out, ".%03ld%c%02ld:%02ld", now.tv_nsec / 1'000'000, local.tm_gmtoff < 0 ? '-' : '+',
         minutes / 60, minutes % 60);
}

// Escapes what would break a line or a quoted string, in the manner of JSON.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      append(out, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  out += '"';
}

bool plain(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\') return false;
  }
  return !text.empty();
}

void append_value(std::string& line, const Field& field, bool quoted) {
  if (quoted) {
    append_quoted(line, field.value);
  } else {
    line += field.value;
  }
}

std::string to_text(std::string_view component, std::string_view message, Fields fields) {
  std::string text(component);
  text.append(": ").append(message);
  for (const Field& field : fields) {
    text.append(" ").append(field.name).append("=");
    append_value(text, field, field.quoted && !plain(field.value));
  }
  return text;
}

std::string text_line(Level level, std::string_view component, std::string_view message,
                      Fields fields) {
  std::string line;
  append(line, "%-5s ", name(level));
  append_time(line);
  return line.append(" ").append(state().program).append(" ") + to_text(component, message, fields);
}

std::string json_line(Level level, std::string_view component, std::string_view message,
                      Fields fields) {
  const auto now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch());
  std::string line;
  append(line, "{\"level\":\"%s\",\"time\":%.6f,\"program\":", name(level), now.count());
  append_quoted(line, state().program);
  line += ",\"component\":";
  append_quoted(line, component);
  line += ",\"message\":";
  append_quoted(line, message);
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.name);
    line += ':';
    append_value(line, field, field.quoted);
  }
  line += '}';
  return line;
}

}  // namespace

const char* name(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warning";
    case Level::error: return "error";
  }
  return "";
}

Level to_level(std::string_view name) {
  if (name == "debug") return Level::debug;
  if (name == "warn") return Level::warn;
  if (name == "error") return Level::error;
  return Level::info;
}

Format to_format(std::string_view name) { return name == "json" ? Format::json : Format::text; }

void configure(std::string_view program, Level level, Format format) {
  state().program = program;
  state().format = format;
  state().level = level;
}

void set_level(Level level) { state().level = level; }

void set_thread_sink(Sink sink) { thread_sink() = std::move(sink); }

void write(Level level, std::string_view component, std::string_view message, Fields fields) {
  if (const Sink& sink = thread_sink()) return sink(level, to_text(component, message, fields));
  if (level < state().level) return;
  std::string line = state().format == Format::json ? json_line(level, component, message, fields)
                                                    : text_line(level, component, message, fields);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // stderr is locked meanwhile: lines stay whole
}

void RateLimited::warn(std::string_view component, std::string_view message, Fields fields) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) {
    ++suppressed_;
    return;
  }
  next_ = now + std::chrono::seconds(1);
  if (suppressed_ == 0) {
    write(Level::warn, component, message, fields);
  } else {
    write(Level::warn, component,
          std::string(message) + " (and " + std::to_string(suppressed_) + " more like it)", fields);
    suppressed_ = 0;
  }
}

}  // namespace canopy::base::log
