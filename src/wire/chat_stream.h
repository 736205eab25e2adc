#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/chat.h"
#include "wire/choice.h"

namespace inferq::wire {

/// What all chunks of a stream have in common.
struct StreamInfo {
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string id;              ///< "chatcmpl-…" or "cmpl-…".
  int64_t created = 0;         ///< Unix seconds.
  std::string model;           ///< As the client named it.
  bool include_usage = false;  ///< A last chunk tells it; the others then say `"usage":null`.
};

/// The chunks of a stream as OpenAI's service writes them (JSON objects, compact): role, texts,
/// end, and the usage where it is wanted.
class StreamChunks {
 public:
  explicit StreamChunks(StreamInfo info);

  /// Of a chat: `delta` with the role. Text completions have none.
  std::string Role(uint32_t choice = 0) const;
  std::string Text(std::string_view text) const;
  /// The text of a choice, with the logprobs of its tokens where it has any.
  std::string Text(const Choice& choice) const;
  /// Of a chat: all calls of the choice, whole.
  std::string ToolCalls(const Choice& choice) const;
  std::string Finish(std::string_view finish_reason, uint32_t choice = 0) const;
  /// Without choices.
  std::string Usage(const TokenUsage& usage) const;

 private:
  std::string Chunk(std::string_view choice, std::string_view usage) const;
  struct Parts {
    uint32_t choice = 0;
    std::string_view delta = "{}";  // of a chat
    std::string_view text = "";     // of a text completion
    std::string_view logprobs = "null";
    std::string_view reason = "null";
  };
  std::string ChunkOf(const Parts& parts) const;
  std::string_view NoUsage() const { return info_.include_usage ? ",\"usage\":null" : ""; }

  StreamInfo info_;
  std::string head_;  // the members that come first in every chunk
};

/// A whole answer as the chunks that a stream would have had: for each choice its message as one
/// delta, then its end; the usage where it is wanted. What else is in the answer stands in each.
/// @param body  of chat completions or completions, with `choices`.
std::vector<std::string> ChunksOfBody(Endpoint endpoint, JsonValue body, bool include_usage);

}  // namespace inferq::wire
