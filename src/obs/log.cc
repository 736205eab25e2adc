#include "obs/log.h"

#include <spdlog/logger.h>

#include <string>

#include "obs/log_line.h"
#include "obs/log_sink.h"

namespace inferq::obs {
namespace {

using LineFormat = std::string (*)(base::WallTime, Level, std::string_view,
                                   std::initializer_list<Field>);

spdlog::level::level_enum ToSpdlog(Level level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  return kLevels[static_cast<size_t>(level)];
}

class LineLogger final : public Logger {
 public:
  LineLogger(const LogOptions& options, LineFormat format)
      : clock_(*options.clock),
        format_(format),
        logger_("inferq", std::make_shared<FdSink>(options.fd, [this](uint64_t dropped) {
                  return format_(clock_.Wall(), Level::kWarning, "log.dropped",
                                 {{"lines", dropped}});
                })) {
    logger_.set_level(ToSpdlog(options.min));
  }

  void Write(Level level, std::string_view event, std::initializer_list<Field> fields) override {
    if (!logger_.should_log(ToSpdlog(level))) return;
    std::string line = format_(clock_.Wall(), level, event, fields);
    logger_.log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  const base::Clock& clock_;
  const LineFormat format_;
  spdlog::logger logger_;
};

class Null final : public Logger {
 public:
  void Write(Level, std::string_view, std::initializer_list<Field>) override {}
};

}  // namespace

std::string_view LevelName(Level level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<size_t>(level)];
}

std::unique_ptr<Logger> MakeJsonLogger(const LogOptions& options) {
  return std::make_unique<LineLogger>(options, JsonLine);
}

std::unique_ptr<Logger> MakeTextLogger(const LogOptions& options) {
  return std::make_unique<LineLogger>(options, TextLine);
}

Logger& NullLogger() {
  static Null logger;
  return logger;
}

}  // namespace inferq::obs
