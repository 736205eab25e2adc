#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/rng.h"
#include "http/client.h"
#include "runtime/cancellation.h"

namespace inferq::app {

/// How a request of an agent's client ended.
enum class AgentEnd : uint8_t {
  kWhole,
  kRefused,    ///< An error status, or no connection, after all repetitions.
  kCut,        ///< A stream that broke off or reported an error; the client does not repeat those.
  kTruncated,  ///< A stream that ended cleanly with a part of its text, which the client believes.
  kStopped,    ///< The benchmark ended.
};

struct AgentAnswer {
  AgentEnd end = AgentEnd::kStopped;
  std::string text;
};

/// What OpenAI's Python library (2.9) does when an attempt failed before an answer began: it waits
/// that long and repeats; nullopt: it gives up. Pure.
/// @param status   0: no connection, or none that lasted.
/// @param attempt  that failed; 0 is the first.
/// @param draw     in [0, 1), of the jitter.
std::optional<base::Micros> AgentRetryPause(int status, const http::Headers& headers,
                                            uint32_t attempt, double draw, base::WallTime now);

/// The client of a phone agent, with the habits of OpenAI's Python library. On one strand.
class AgentClient {
 public:
  struct Options {
    std::string base_url;  ///< "http://127.0.0.1:8080/v1"
    std::string api_key;   ///< "": "EMPTY", as agents send it.
    /// Pauses of the client's own are so much shorter; those that a server asks for are not.
    double speed = 1;
    std::shared_ptr<runtime::Cancellation> cancel;
  };
  /// `http` outlives it.
  AgentClient(runtime::Runtime& runtime, http::Client& http, Options options, uint64_t seed)
      : runtime_(runtime), http_(http), options_(std::move(options)), rng_(seed) {}

  /// @param stream   the body asks for one.
  /// @param timeout  without a byte.
  runtime::Awaitable<AgentAnswer> Complete(std::string body, bool stream, base::Micros timeout);
  /// Since the start.
  uint64_t repeated() const { return repeated_; }

 private:
  struct Attempt {
    int status = 0;
    http::Headers headers;
    std::optional<AgentAnswer> answer;  // nullopt: none began
  };
  runtime::Awaitable<Attempt> Try(const std::string& body, bool stream, base::Micros timeout,
                                  uint32_t attempt);
  runtime::Awaitable<AgentAnswer> ReadStream(http::ResponseStream& stream);
  http::Request MakeRequest(const std::string& body, base::Micros timeout, uint32_t attempt) const;
  bool stopped() const { return options_.cancel && options_.cancel->cancelled(); }

  runtime::Runtime& runtime_;
  http::Client& http_;
  const Options options_;
  base::Rng rng_;
  uint64_t repeated_ = 0;
};

}  // namespace inferq::app
