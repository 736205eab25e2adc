#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::app {

/// Where a load goes.
struct BenchTarget {
  runtime::Address address;
  std::string authority;  ///< For the Host header.
  std::string base;       ///< Path in front of all: "/v1".
  std::string api_key;    ///< "": none is sent.
};

struct BenchAnswer {
  int status = 0;
  std::string_view body;  ///< Until the next call.
};

/// One kept connection that sends a request and reads its answer, with as little work as that
/// takes: a load generator shares the machine with what it measures. It reads answers with a
/// Content-Length only, and repeats nothing. For everything else there is http::Client.
///
/// One call at a time, on the strand of `runtime`; both given objects outlive it.
class BenchConnection {
 public:
  BenchConnection(runtime::Runtime& runtime, runtime::Dialer& dialer, const BenchTarget& target,
                  std::shared_ptr<runtime::Cancellation> cancel);

  /// Connects where needed. @param path  behind the base: "/tasks". Both stay until the end.
  /// @return kUnavailable: no proper answer; the connection is closed. kCancelled.
  runtime::Awaitable<base::Result<BenchAnswer>> Post(std::string_view path, std::string_view body);

 private:
  runtime::Awaitable<base::Result<>> Connect();
  runtime::Awaitable<base::Result<BenchAnswer>> Exchange(std::string_view path,
                                                         std::string_view body);
  runtime::Awaitable<base::Result<BenchAnswer>> ReadAnswer();
  runtime::Awaitable<base::Result<>> ReadMore();

  runtime::Runtime& runtime_;
  runtime::Dialer& dialer_;
  const BenchTarget& target_;
  const std::shared_ptr<runtime::Cancellation> cancel_;
  std::string head_start_;  // of every request, up to the length of its body
  std::unique_ptr<runtime::Stream> stream_;
  std::string head_;
  std::string in_;
  size_t in_size_ = 0;
};

// What follows is for the tests.

/// The head of an answer, taken apart.
struct AnswerHead {
  int status = 0;
  size_t size = 0;  ///< With its empty line.
  size_t body_length = 0;
};

/// `text` ends with the head's empty line. kUnavailable: no answer with a Content-Length.
base::Result<AnswerHead> ParseAnswerHead(std::string_view text);

}  // namespace inferq::app
