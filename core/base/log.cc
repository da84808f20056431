#include "core/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace canopy::base::log {
namespace {

struct State {
  std::string program = "canopy";
  Format format = Format::text;
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("canopy", std::make_shared<spdlog::sinks::stderr_sink_mt>());

  State() { set_pattern(); }
  void set_pattern() {
    logger->set_pattern(format == Format::json ? "%v" : "%^%-5l%$ %Y-%m-%dT%H:%M:%S.%e%z %v");
  }
};

State& state() {
  static State instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Escapes what would break a line or a quoted string, in the manner of JSON.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
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

std::string text_line(std::string_view component, std::string_view message, Fields fields) {
  std::string line = fmt::format("{} {}: {}", state().program, component, message);
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(line), " {}=", field.name);
    if (field.quoted && !plain(field.value)) {
      append_quoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  return line;
}

std::string json_line(Level level, std::string_view component, std::string_view message,
                      Fields fields) {
  const auto now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch());
  std::string line = fmt::format("{{\"level\":\"{}\",\"time\":{:.6f},\"program\":",
                                 spdlog::level::to_string_view(to_spdlog(level)), now.count());
  append_quoted(line, state().program);
  line += ",\"component\":";
  append_quoted(line, component);
  line += ",\"message\":";
  append_quoted(line, message);
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.name);
    line += ':';
    if (field.quoted) {
      append_quoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  line += '}';
  return line;
}

}  // namespace

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
  state().set_pattern();
  state().logger->set_level(to_spdlog(level));
  state().logger->flush_on(spdlog::level::debug);
}

void set_level(Level level) { state().logger->set_level(to_spdlog(level)); }

void write(Level level, std::string_view component, std::string_view message, Fields fields) {
  const auto severity = to_spdlog(level);
  if (!state().logger->should_log(severity)) return;
  state().logger->log(severity, "{}",
                      state().format == Format::json ? json_line(level, component, message, fields)
                                                     : text_line(component, message, fields));
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
