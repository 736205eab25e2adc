#include "wire/chat_stream.h"

namespace inferq::wire {

StreamChunks::StreamChunks(StreamInfo info) : info_(std::move(info)) {
  bool chat = info_.endpoint == Endpoint::kChatCompletions;
  head_ = fmt::format(R"("id":{},"object":"{}","created":{},"model":{})", JsonString(info_.id),
                      chat ? "chat.completion.chunk" : "text_completion", info_.created,
                      JsonString(info_.model));
}

std::string StreamChunks::Role() const {
  return Chunk(Choice(R"({"role":"assistant","content":"","refusal":null})", "", "null"),
               NoUsage());
}

std::string StreamChunks::Text(std::string_view text) const {
  return Chunk(Choice(fmt::format(R"({{"content":{}}})", JsonString(text)), text, "null"),
               NoUsage());
}

std::string StreamChunks::Finish(std::string_view finish_reason) const {
  return Chunk(Choice("{}", "", JsonString(finish_reason)), NoUsage());
}

std::string StreamChunks::Usage(const TokenUsage& usage) const {
  return Chunk("", ",\"usage\":" + UsageJson(usage));
}

std::string StreamChunks::Choice(std::string_view delta, std::string_view text,
                                 std::string_view reason) const {
  if (info_.endpoint == Endpoint::kChatCompletions) {
    return fmt::format(R"({{"index":0,"delta":{},"logprobs":null,"finish_reason":{}}})", delta,
                       reason);
  }
  return fmt::format(R"({{"index":0,"text":{},"logprobs":null,"finish_reason":{}}})",
                     JsonString(text), reason);
}

std::string StreamChunks::Chunk(std::string_view choice, std::string_view usage) const {
  return fmt::format(R"({{{},"choices":[{}]{}}})", head_, choice, usage);
}

}  // namespace inferq::wire
