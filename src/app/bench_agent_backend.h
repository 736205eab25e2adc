#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>

#include "app/bench_agent_profile.h"
#include "http/server.h"
#include "runtime/loop_thread.h"
#include "wire/chat_stream.h"
#include "wire/json.h"

namespace inferq::app {

struct AgentBackendOptions {
  const AgentProfile* profile = nullptr;
  double speed = 1;      ///< How often faster than a real one it works.
  double fail_rate = 0;  ///< Requests that are answered 500, 502 or 503.
  double cut_rate = 0;   ///< Answers that break off after their first part.
  uint64_t seed = 1;     ///< Of the faults.
};

/// What a backend did.
struct AgentBackendCounts {
  uint64_t requests = 0;
  uint64_t failed = 0;  ///< On purpose.
  uint64_t cut = 0;     ///< On purpose.
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;  ///< Of these, what a prefix cache of any size would have had.
};

/// An OpenAI-compatible server with the costs of a vision model on one GPU (0.3 s for an image,
/// 8,000 prompt tokens a second beyond the cached ones, 83 output tokens a second for one stream
/// and half of that for each of 33), and with its faults. Text and length of an answer depend on
/// the request alone. On one loop.
class AgentBackend final : public http::Handler {
 public:
  explicit AgentBackend(AgentBackendOptions options) : options_(options), dice_(options.seed) {}

  runtime::Awaitable<void> Handle(http::Exchange& exchange) override;
  std::string ErrorBody(int status, std::string_view message) override;

  /// Since the start or the last call; the cache forgets everything.
  AgentBackendCounts Take();

 private:
  struct Plan {
    bool stream = false;
    uint64_t images = 0;
    uint64_t prompt_tokens = 0;
    uint64_t cached_tokens = 0;
    uint64_t tokens = 0;   // of the answer
    uint64_t stop_at = 0;  // fewer: it breaks off there
  };
  base::Result<Plan> Read(const std::string& body);
  void Survey(wire::JsonValue messages, Plan& plan);
  runtime::Awaitable<void> Answer(http::Exchange& exchange, const Plan& plan);
  runtime::Awaitable<void> AnswerWhole(http::Exchange& exchange, const Plan& plan);
  runtime::Awaitable<void> AnswerStream(http::Exchange& exchange, const Plan& plan);
  runtime::Awaitable<void> Fail(http::Exchange& exchange);
  base::Micros PrefillTime(const Plan& plan) const;
  base::Micros TokenTime() const;
  base::Micros Scaled(double seconds) const;

  const AgentBackendOptions options_;
  base::Rng dice_;
  AgentBackendCounts counts_;
  uint32_t decoding_ = 0;                    // answers under way
  std::unordered_set<uint64_t> beginnings_;  // of prompts, by the hash of their messages
};

/// One of them on a port of 127.0.0.1 and a thread of its own.
class AgentBackendServer {
 public:
  AgentBackendServer(runtime::AsioRuntime& home, AgentBackendOptions options);

  /// @param port  0: a free one.
  base::Result<> Listen(uint16_t port);
  /// "http://127.0.0.1:port/v1"
  std::string url() const;
  runtime::Awaitable<AgentBackendCounts> Take();
  /// Before the destructor.
  runtime::Awaitable<void> Stop();

 private:
  runtime::Awaitable<AgentBackendCounts> TakeThere();

  runtime::AsioRuntime& home_;
  runtime::LoopThread loop_;
  AgentBackend backend_;
  http::Server server_;
};

}  // namespace inferq::app
