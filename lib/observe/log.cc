#include "lib/observe/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace eagle::observe {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

absl::StatusOr<Level> ParseLevel(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "info") return Level::kInfo;
  if (name == "warn") return Level::kWarn;
  if (name == "error") return Level::kError;
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a log level; use debug, info, warn or error", name));
}

void InitLog(std::string_view part, Level level) {
  auto logger = std::make_shared<spdlog::logger>(std::string(part),
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v part=%n", spdlog::pattern_time_type::utc);
  logger->set_level(ToSpdlog(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void SetLogLevel(Level level) {
  spdlog::default_logger_raw()->set_level(ToSpdlog(level));
}

bool LogEnabled(Level level) {
  return spdlog::default_logger_raw()->should_log(ToSpdlog(level));
}

void WriteLog(Level level, std::string_view event, std::string_view fields) {
  spdlog::default_logger_raw()->log(ToSpdlog(level), "{}{}", event, fields);
}

void AppendField(std::string* line, std::string_view key, std::string_view value) {
  line->push_back(' ');
  line->append(key);
  line->push_back('=');
  bool plain = !value.empty();
  for (char c : value) {
    if (c <= ' ' || c == '"' || c == '\\' || c == 127) plain = false;
  }
  if (plain) {
    line->append(value);
    return;
  }
  line->push_back('"');
  for (char c : value) {
    if (c == '"' || c == '\\') {
      line->push_back('\\');
      line->push_back(c);
    } else if (c == '\n') {
      line->append("\\n");
    } else if (static_cast<unsigned char>(c) < ' ' || c == 127) {
      line->append(fmt::format("\\x{:02x}", static_cast<unsigned char>(c)));
    } else {
      line->push_back(c);
    }
  }
  line->push_back('"');
}

}  // namespace eagle::observe
