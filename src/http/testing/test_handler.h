#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "runtime/event.h"

namespace inferq::http::testing {

/// What tests serve. On one loop, but for paths that touch nothing here (/hello, /echo).
///
///   /hello /echo    "hello"; the body, at most 1 MiB
///   /pieces /slow   the sizes of the body's pieces; with 20 s before each
///   /ignore         answers without a look at the body
///   /chunks /told   begins, writes "ab", "c" and ends; with a length of 3
///   /big            a megabyte
///   /wait           answers when released; counts clients that have gone
///   /nothing /half  no answer; one that does not end; /short: less than its length
///   /inject         a header with a line break
class TestHandler final : public Handler {
 public:
  explicit TestHandler(runtime::Runtime& runtime) : released_(runtime) {}

  runtime::Awaitable<void> Handle(Exchange& exchange) override;
  std::string ErrorBody(int status, std::string_view message) override;

  void Release();
  /// Of /wait.
  size_t waiting() const { return waiting_; }
  size_t gone() const { return gone_; }
  /// The last request, and the failures of reading and writing.
  const RequestHead& request() const { return request_; }
  const std::vector<base::Code>& failures() const { return failures_; }

 private:
  runtime::Awaitable<void> Echo(Exchange& exchange);
  runtime::Awaitable<void> Pieces(Exchange& exchange, base::Micros pause);
  runtime::Awaitable<void> Stream(Exchange& exchange, std::optional<uint64_t> length);
  runtime::Awaitable<void> Wait(Exchange& exchange);
  runtime::Awaitable<void> Text(Exchange& exchange, std::string text);
  void Note(const base::Result<>& result);

  runtime::Event released_;
  bool release_ = false;
  size_t waiting_ = 0;
  size_t gone_ = 0;
  RequestHead request_;
  std::vector<base::Code> failures_;
};

inline constexpr size_t kEchoLimit = 1u << 20;
inline constexpr size_t kBigAnswer = 1u << 20;

}  // namespace inferq::http::testing
