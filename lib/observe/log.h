#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "lib/base/status.h"

namespace eagle::observe {

enum class Level { kDebug, kInfo, kWarn, kError };

/// "debug", "info", "warn" or "error".
absl::StatusOr<Level> ParseLevel(std::string_view name);

/// Sets the process' log: one line an event on stderr, as
///   2026-01-31T12:00:00.123Z info  layer_fetched digest=sha256:ab bytes=123 part=seeder
/// error = someone must act, warn = degraded, info = life cycle, debug = per request.
/// Call once at the start; the log functions are thread-safe. This is the one process-wide object:
/// a log that had to be passed everywhere would not be used.
void InitLog(std::string_view part, Level level);
/// Another level from here on. Thread-safe.
void SetLogLevel(Level level);
[[nodiscard]] bool LogEnabled(Level level);

/// Writes `fields` as it stands; use the functions below.
void WriteLog(Level level, std::string_view event, std::string_view fields);

/// Appends " key=value", quoting a value that holds spaces, quotes or control characters.
void AppendField(std::string* line, std::string_view key, std::string_view value);

namespace internal {
inline void AppendFields(std::string*) {}
template <typename Value, typename... Rest>
void AppendFields(std::string* line, std::string_view key, const Value& value,
                  const Rest&... rest) {
  AppendField(line, key, fmt::format("{}", value));
  AppendFields(line, rest...);
}
template <typename... Fields>
void Log(Level level, std::string_view event, const Fields&... fields) {
  static_assert(sizeof...(Fields) % 2 == 0, "fields are key, value pairs");
  if (!LogEnabled(level)) return;
  std::string line;
  AppendFields(&line, fields...);
  WriteLog(level, event, line);
}
}  // namespace internal

/// observe::Info("layer_fetched", "digest", digest.str(), "bytes", 123);
template <typename... Fields>
void Debug(std::string_view event, const Fields&... fields) {
  internal::Log(Level::kDebug, event, fields...);
}
template <typename... Fields>
void Info(std::string_view event, const Fields&... fields) {
  internal::Log(Level::kInfo, event, fields...);
}
template <typename... Fields>
void Warn(std::string_view event, const Fields&... fields) {
  internal::Log(Level::kWarn, event, fields...);
}
template <typename... Fields>
void Error(std::string_view event, const Fields&... fields) {
  internal::Log(Level::kError, event, fields...);
}

}  // namespace eagle::observe
