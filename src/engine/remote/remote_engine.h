#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::engine {

/// How to reach an OpenAI-compatible server (vLLM, SGLang, llama-server, a hosted one).
struct RemoteOptions {
  /// "http://host:8000", "https://host/api/v4", with or without a slash or /chat/completions at the
  /// end. Without a path "/v1" is added.
  std::string base_url{};
  std::string model{};            ///< The model's name there; "": as the request names it.
  std::string api_key{};          ///< Sent as bearer token; "": none. Never shown.
  uint32_t slots = 64;            ///< Requests under way at once, >= 1.
  size_t max_waiting = 1u << 16;  ///< Requests that may wait for a slot.
  base::Micros connect_timeout{10'000'000};
  /// From the request to the first byte of the answer; to its first chunk where it is streamed.
  base::Micros answer_timeout{600'000'000};
  base::Micros idle_timeout{60'000'000};  ///< Between two pieces of it.
  uint64_t max_answer = 64u << 20;        ///< Bytes of one answer.
  /// Failures in a row (5xx, cut answers, nonsense) after which the engine pauses and probes. A
  /// refused connection, and a 429 or 503 that names a waiting time, pause it at once.
  uint32_t failures_to_pause = 3;
  base::Micros first_pause{250'000};  ///< Doubles with every failed probe, up to
  base::Micros longest_pause{
      10'000'000};  ///< this, which also bounds what a server's Retry-After can ask for.
};

/// An engine on another machine. The client's body goes there untouched but for `model`, where the
/// request names another one, and `stream`: false, and the answer's JSON comes back in
/// Delta::raw_response.
///
/// A request with `stream` goes with "stream": true and include_usage in `stream_options`. The
/// answer's chunks come back in Delta::raw_chunks as they arrive, text stays empty; a chunk that
/// only has the usage is left out unless the client's body asked for it. A server that answers with
/// one JSON object all the same gives raw_response.
///
/// Start asks the server for its models, to see that it is there and takes the key. While the
/// server is unreachable, or fails one request after the other, capacity().ready is false, requests
/// wait, and the engine asks again until it answers.
///
/// Next's errors: kInvalidArgument: the server refused the request (4xx), `param` names the field
/// where the server does. kUnauthenticated, kPermissionDenied: the key. kResourceExhausted: 429,
/// with retry_after. kUnavailable: everything that may be gone next time, cut streams too.
/// kDeadlineExceeded, kCancelled. The same after the first chunk, where an error event names one.
///
/// @param dialer  makes the connections, over `runtime`.
/// @return kInvalidArgument: the address or the key cannot be used, or no slots.
base::Result<std::unique_ptr<Engine>> MakeRemoteEngine(runtime::Runtime& runtime,
                                                       std::shared_ptr<runtime::Dialer> dialer,
                                                       RemoteOptions options);

}  // namespace inferq::engine
