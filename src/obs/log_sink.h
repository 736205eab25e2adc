#pragma once

#include <spdlog/sinks/sink.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace inferq::obs {

/// Writes lines to a descriptor and gives up on a reader that does not read. Any thread may call.
class FdSink final : public spdlog::sinks::sink {
 public:
  /// @param describe_drops  the line that tells how many lines were dropped.
  FdSink(int fd, std::function<std::string(uint64_t)> describe_drops)
      : fd_(fd), waits_(CanBeFull(fd)), describe_drops_(std::move(describe_drops)) {}

  void log(const spdlog::details::log_msg& message) override;
  void flush() override {}
  // A message is a whole line already.
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  static bool CanBeFull(int fd);
  bool WriteLine(std::string_view line) REQUIRES(mu_);
  bool WaitForRoom() REQUIRES(mu_);

  const int fd_;
  const bool waits_;
  const std::function<std::string(uint64_t)> describe_drops_;
  base::Mutex mu_;
  uint64_t dropped_ GUARDED_BY(mu_) = 0;  // since the last line that went out
  bool torn_ GUARDED_BY(mu_) = false;     // the last line went out in part
};

}  // namespace inferq::obs
