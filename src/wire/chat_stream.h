#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/chat.h"

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
  std::string Role() const;
  std::string Text(std::string_view text) const;
  std::string Finish(std::string_view finish_reason) const;
  /// Without choices.
  std::string Usage(const TokenUsage& usage) const;

 private:
  std::string Chunk(std::string_view choice, std::string_view usage) const;
  std::string Choice(std::string_view delta, std::string_view text, std::string_view reason) const;
  std::string_view NoUsage() const { return info_.include_usage ? ",\"usage\":null" : ""; }

  StreamInfo info_;
  std::string head_;  // the members that come first in every chunk
};

}  // namespace inferq::wire
