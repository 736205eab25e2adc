#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <variant>

#include "base/clock.h"

namespace inferq::obs {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };

/// "debug", "info", "warning", "error".
std::string_view LevelName(Level level);

/// One value of an event. Keys are snake case; text need not be UTF-8.
struct Field {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : Field(k, std::string_view(v)) {}
  Field(std::string_view k, bool v) : key(k), value(v) {}
  Field(std::string_view k, std::signed_integral auto v) : key(k), value(int64_t{v}) {}
  Field(std::string_view k, std::unsigned_integral auto v) : key(k), value(uint64_t{v}) {}
  Field(std::string_view k, double v) : key(k), value(v) {}

  std::string_view key;
  Value value;
};

/// Where events go. Any thread may call.
class Logger {
 public:
  virtual ~Logger() = default;
  /// @param event  what happened, dotted and from a small set: "task.completed". No prompts, no
  ///               outputs, no keys in the fields.
  virtual void Write(Level level, std::string_view event, std::initializer_list<Field> fields) = 0;
};

struct LogOptions {
  Level min = Level::kInfo;  ///< Lesser events are dropped.
  const base::Clock* clock = &base::SystemClock();
  int fd = 2;  ///< Stays open, and is not closed by the logger.
};

/// One JSON object for each line: ts (RFC 3339, UTC, microseconds), level, event, then the fields
/// in their order. A reader that does not read is waited for 100 ms once, then lines are dropped
/// until it does; how many is told by an event "log.dropped". A closed pipe is no error.
std::unique_ptr<Logger> MakeJsonLogger(const LogOptions& options);
/// The same for people: "12:00:01.250 info    task.completed task=t1 tokens=17".
std::unique_ptr<Logger> MakeTextLogger(const LogOptions& options);
/// Drops everything. Lives as long as the process.
Logger& NullLogger();

}  // namespace inferq::obs
