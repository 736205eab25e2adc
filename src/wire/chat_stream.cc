#include "wire/chat_stream.h"

#include "wire/json_splice.h"

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

namespace {

/// The calls of a message, numbered as those of a delta are.
std::vector<JsonSplice> NumberCalls(JsonValue message) {
  std::vector<JsonSplice> splices;
  auto calls = message.Find("tool_calls");
  if (!calls) return splices;
  size_t index = 0;
  for (JsonElements call(*calls); call.Next(); ++index) {
    splices.push_back(
        {call.value().text(), SpliceJsonObject(call.value(), {{"index", std::to_string(index)}})});
  }
  return splices;
}

std::string TextOr(std::optional<JsonValue> value, std::string_view other) {
  return std::string(value ? value->text() : other);
}

std::string ChatChoice(JsonValue choice, size_t index) {
  auto message = choice.Find("message");
  const std::string delta =
      message ? SpliceJson(message->text(), NumberCalls(*message)) : std::string("{}");
  return fmt::format(R"([{{"index":{},"delta":{},"logprobs":{},"finish_reason":null}}])",
                     TextOr(choice.Find("index"), std::to_string(index)), delta,
                     TextOr(choice.Find("logprobs"), "null"));
}

std::string ChatEnd(JsonValue choice, size_t index) {
  return fmt::format(R"([{{"index":{},"delta":{{}},"logprobs":null,"finish_reason":{}}}])",
                     TextOr(choice.Find("index"), std::to_string(index)),
                     TextOr(choice.Find("finish_reason"), "\"stop\""));
}

/// The body with other choices.
std::string BodyAsChunk(Endpoint endpoint, JsonValue body, std::string choices, bool with_usage) {
  const bool chat = endpoint == Endpoint::kChatCompletions;
  std::vector<JsonEdit> edits{{"choices", std::move(choices), true}};
  if (chat) edits.push_back({"object", R"("chat.completion.chunk")", true});
  if (!with_usage) edits.push_back({"usage", "null", true});
  std::string chunk = SpliceJsonObject(body, edits);
  // One line, so that it fits into an event.
  if (chunk.find_first_of("\r\n") == std::string::npos) return chunk;
  auto parsed = ParseJson(chunk);
  return parsed ? CompactJson(*parsed) : chunk;
}

}  // namespace

std::vector<std::string> ChunksOfBody(Endpoint endpoint, JsonValue body, bool include_usage) {
  std::vector<std::string> chunks;
  auto choices = body.Find("choices");
  if (endpoint != Endpoint::kChatCompletions) {
    chunks.push_back(BodyAsChunk(endpoint, body, TextOr(choices, "[]"), false));
  } else if (choices) {
    size_t index = 0;
    for (JsonElements choice(*choices); choice.Next(); ++index) {
      chunks.push_back(BodyAsChunk(endpoint, body, ChatChoice(choice.value(), index), false));
      chunks.push_back(BodyAsChunk(endpoint, body, ChatEnd(choice.value(), index), false));
    }
  }
  if (include_usage) chunks.push_back(BodyAsChunk(endpoint, body, "[]", true));
  return chunks;
}

}  // namespace inferq::wire
