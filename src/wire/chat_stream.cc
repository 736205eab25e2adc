#include "wire/chat_stream.h"

namespace inferq::wire {

StreamChunks::StreamChunks(StreamInfo info) : info_(std::move(info)) {
  bool chat = info_.endpoint == Endpoint::kChatCompletions;
  head_ = fmt::format(R"("id":{},"object":"{}","created":{},"model":{})", JsonString(info_.id),
                      chat ? "chat.completion.chunk" : "text_completion", info_.created,
                      JsonString(info_.model));
}

std::string StreamChunks::Role(uint32_t choice) const {
  return ChunkOf(
      {.choice = choice, .delta = R"({"role":"assistant","content":"","refusal":null})"});
}

std::string StreamChunks::Text(std::string_view text) const {
  return ChunkOf({.delta = fmt::format(R"({{"content":{}}})", JsonString(text)), .text = text});
}

std::string StreamChunks::Text(const Choice& choice) const {
  return ChunkOf({.choice = choice.index,
                  .delta = fmt::format(R"({{"content":{}}})", JsonString(choice.text)),
                  .text = choice.text,
                  .logprobs = choice.logprobs ? LogprobsJson(info_.endpoint, *choice.logprobs)
                                              : std::string("null")});
}

std::string StreamChunks::ToolCalls(const Choice& choice) const {
  return ChunkOf(
      {.choice = choice.index,
       .delta = fmt::format(R"({{"tool_calls":{}}})", ToolCallsJson(choice.tool_calls, true))});
}

std::string StreamChunks::Finish(std::string_view finish_reason, uint32_t choice) const {
  return ChunkOf({.choice = choice, .reason = JsonString(finish_reason)});
}

std::string StreamChunks::Usage(const TokenUsage& usage) const {
  return Chunk("", ",\"usage\":" + UsageJson(usage));
}

std::string StreamChunks::ChunkOf(const Parts& parts) const {
  const bool chat = info_.endpoint == Endpoint::kChatCompletions;
  return Chunk(
      fmt::format(R"({{"index":{},"{}":{},"logprobs":{},"finish_reason":{}}})", parts.choice,
                  chat ? "delta" : "text", chat ? std::string(parts.delta) : JsonString(parts.text),
                  parts.logprobs, parts.reason),
      NoUsage());
}

std::string StreamChunks::Chunk(std::string_view choice, std::string_view usage) const {
  return fmt::format(R"({{{},"choices":[{}]{}}})", head_, choice, usage);
}

}  // namespace inferq::wire
