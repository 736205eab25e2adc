#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/awaitable.h"
#include "wire/chat.h"

namespace inferq::engine {

using runtime::Awaitable;

using wire::Endpoint;

/// One request to a model: the OpenAI request body as the client wrote it, and what the scheduler
/// knows. Serialisable: an engine may run it in another process or on another machine.
struct Request {
  std::string id;  ///< Of the attempt; for logs and the backend's request id.
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string body;   ///< JSON object, e.g. {"model":…,"messages":[…],"max_tokens":16}.
  std::string model;  ///< As resolved by the server; may differ from body.model.
  std::optional<base::SteadyTime> deadline;  ///< Then the request ends with kDeadlineExceeded.
  std::string traceparent;
  /// Somebody reads along: a remote engine then asks its server to stream, and its pieces come as
  /// Delta::raw_chunks. Engines that make text themselves always give it as it comes.
  bool stream = false;
  /// Somebody waits for the answer: goes before batch work.
  bool interactive = false;
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls, kContentFilter, kCancelled };
/// OpenAI's word for it: "stop", "length", "tool_calls", "content_filter"; "cancelled" is ours.
std::string_view FinishReasonName(FinishReason reason);
std::optional<FinishReason> ParseFinishReason(std::string_view name);

struct Usage {
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  uint64_t cached_tokens = 0;  ///< Part of prompt_tokens that was not computed again.
  /// Part of prompt_tokens that an engine with a perfect prefix cache would have to compute: those
  /// behind the longest beginning shared with an earlier prompt. 0: unknown (remote engines).
  uint64_t distinct_tokens = 0;
  friend bool operator==(const Usage&, const Usage&) = default;
};

/// What came out since the last Delta. Text never cuts a UTF-8 character.
struct Delta {
  std::string text;
  uint64_t tokens = 0;                        ///< Generated tokens that the text stands for.
  std::optional<FinishReason> finish_reason;  ///< Set on the last one, with `usage`.
  Usage usage;
  /// The whole answer, where there is one (remote engines, non-streamed; embeddings of any engine):
  /// passed through to the client instead of a body built from text and usage. JSON object; empty
  /// otherwise.
  std::string raw_response{};
  /// The backend's chunks (JSON objects of its event stream, without [DONE]), where there are any
  /// (remote engines, streamed): passed through instead of chunks built from text.
  std::vector<std::string> raw_chunks{};
};

/// One running request. All calls on the strand that submitted it. Destroying it cancels it.
class Generation {
 public:
  virtual ~Generation() = default;
  /// Waits for more output and returns everything that came since the last call (coalesced, so a
  /// slow reader costs no memory beyond the text). After a Delta with finish_reason there is
  /// nothing to wait for. kInvalidArgument: the request is wrong, `param` names the field.
  /// kUnavailable: the engine is not reachable, or died before it began with this request: try
  /// again. kAborted: it died while running this request, which is a suspect now.
  /// kResourceExhausted, kDeadlineExceeded, kCancelled, kInternal as named.
  virtual Awaitable<base::Result<Delta>> Next() = 0;
  /// Ends it soon with finish_reason kCancelled, or with the reason it had already.
  virtual void Cancel() = 0;
};

/// How much an engine can take.
struct Capacity {
  uint32_t slots = 1;  ///< Requests that run at once.
  /// Requests that it likes to know beside those, to choose from them which goes next: those that
  /// begin alike, one after the other.
  uint32_t ahead = 0;
  uint32_t running = 0;
  uint64_t context_tokens = 0;  ///< Longest prompt plus output of one request; 0: unknown.
  bool ready = false;           ///< Answers now. False while loading, restarting or unreachable.
  uint64_t micro_batches = 0;   ///< Run since it was made, by engines that put calls together.
  uint64_t micro_batched = 0;   ///< Inputs in them.
  uint64_t kv_tokens = 0;  ///< Tokens that its KV cache has room for; 0: it has none, or none now.
  uint64_t kv_used = 0;    ///< Of these, held now.
  uint64_t pauses = 0;     ///< Times that a request gave its tokens' room to another, so far.
};

/// Runs models. One instance serves one lane.
///
/// Order: Start -> Submit ... -> Stop. Calls on one strand. Nothing survives a crash: the queue
/// does.
class Engine {
 public:
  virtual ~Engine() = default;
  /// Loads the model or checks the address. Fails with a sentence for a person: kNotFound,
  /// kInvalidArgument (corrupt model, other architecture), kUnavailable (not reachable),
  /// kResourceExhausted (memory).
  virtual Awaitable<base::Result<>> Start() = 0;
  /// Ends running requests with kCancelled and frees everything. Idempotent.
  virtual Awaitable<void> Stop() = 0;

  /// Queues a request; does not wait for a slot. Errors that need no model (bad body) come here or
  /// from Next.
  virtual base::Result<std::unique_ptr<Generation>> Submit(Request request) = 0;
  virtual Capacity capacity() const = 0;
  /// "llama model.gguf", "remote http://…", "fake", for people.
  virtual std::string Describe() const = 0;
};

/// Reads a generation to its end: all text, or all chunks, in one Delta.
Awaitable<base::Result<Delta>> Collect(Generation& generation);

}  // namespace inferq::engine
