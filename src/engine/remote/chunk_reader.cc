#include "engine/remote/chunk_reader.h"

#include <algorithm>
#include <utility>

#include "engine/remote/answer.h"
#include "wire/json_splice.h"

namespace inferq::engine {

using base::Code;
using base::Fail;
using base::Result;

namespace {

uint64_t CountOf(wire::JsonValue object, std::string_view key) {
  auto count = object.Find(key);
  int64_t value = count ? count->AsInteger().value_or(0) : 0;
  return value > 0 ? static_cast<uint64_t>(value) : 0;
}

bool IsErrorEvent(const http::SseEvent& event, wire::JsonValue json) {
  auto error = json.Find("error");
  auto object = json.Find("object");
  return event.type == "error" || (error && !error->is_null()) ||
         (object && object->AsString() == "error");
}

/// Clients read the delta of every choice; some servers leave an empty one out.
std::vector<wire::JsonSplice> MissingDeltas(wire::JsonValue choices) {
  std::vector<wire::JsonSplice> splices;
  for (wire::JsonElements choice(choices); choice.Next();) {
    if (choice.value().type() != wire::JsonType::kObject) continue;
    if (choice.value().Find("delta") || choice.value().Find("text")) continue;
    std::ranges::move(SplicesOf(choice.value(), {{"delta", "{}"}}), std::back_inserter(splices));
  }
  return splices;
}

}  // namespace

StreamedBody BodyForStream(wire::JsonValue body) {
  StreamedBody out;
  std::vector<wire::JsonEdit> edits{{"stream", "true", true}};
  const wire::JsonEdit with_usage{"include_usage", "true", true};
  auto options = body.Find("stream_options");
  auto usage = options ? options->Find("include_usage") : std::nullopt;
  out.usage_wanted = usage && usage->AsBool() == true;
  if (!options || options->is_null()) {
    edits.push_back({"stream_options", R"({"include_usage":true})", true});
  } else if (options->type() == wire::JsonType::kObject && !out.usage_wanted) {
    edits.push_back({"stream_options", wire::SpliceJsonObject(*options, {with_usage}), true});
  }
  out.json = wire::SpliceJsonObject(body, edits);
  return out;
}

Result<Delta> ChunkReader::Feed(std::string_view bytes) {
  Delta delta;
  decoder_.Feed(bytes);
  while (!delta.finish_reason) {
    INFERQ_ASSIGN(auto event, decoder_.Next());
    if (!event) break;
    INFERQ_TRY(Take(*std::move(event), delta));
  }
  return delta;
}

Result<Delta> ChunkReader::End() {
  if (begun_ && !reason_) {
    return Fail(Code::kUnavailable,
                "The server's answer was cut off: its stream ended without a finish_reason and "
                "without [DONE]; check the server's log");
  }
  Delta delta;
  INFERQ_TRY(Finish(delta));
  return delta;
}

Result<> ChunkReader::Take(http::SseEvent event, Delta& delta) {
  if (event.data == "[DONE]") return Finish(delta);
  auto json = wire::ParseJson(event.data);
  if (!json) {
    return Fail(Code::kUnavailable, "The server's stream has an event that is not JSON: {}",
                Excerpt(event.data));
  }
  if (IsErrorEvent(event, *json)) return std::unexpected(EventError(*json));
  auto usage = json->Find("usage");
  bool has_usage = usage && usage->type() == wire::JsonType::kObject;
  if (has_usage) TakeUsage(*usage, delta);
  auto choices = json->Find("choices");
  if (!choices || choices->type() != wire::JsonType::kArray) return {};
  INFERQ_TRY(TakeChoices(*choices));
  begun_ = true;
  if (has_usage && !usage_wanted_ && choices->Elements().empty()) return {};
  if (auto missing = MissingDeltas(*choices); !missing.empty()) {
    event.data = SpliceJson(event.data, missing);
  }
  // One line, so that it fits into one of the client's events.
  if (event.data.contains('\n')) event.data = wire::CompactJson(*wire::ParseJson(event.data));
  delta.raw_chunks.push_back(std::move(event.data));
  return {};
}

Result<> ChunkReader::TakeChoices(wire::JsonValue choices) {
  for (wire::JsonElements choice(choices); choice.Next();) {
    auto named = choice.value().Find("finish_reason");
    std::string word = named ? named->AsString().value_or("") : "";
    if (word.empty()) continue;
    INFERQ_ASSIGN(reason_, ReadFinishReason(word));
  }
  return {};
}

void ChunkReader::TakeUsage(wire::JsonValue usage, Delta& delta) {
  usage_.prompt_tokens = CountOf(usage, "prompt_tokens");
  usage_.completion_tokens = CountOf(usage, "completion_tokens");
  auto details = usage.Find("prompt_tokens_details");
  usage_.cached_tokens = details ? CountOf(*details, "cached_tokens") : 0;
  if (usage_.completion_tokens <= counted_) return;
  delta.tokens += usage_.completion_tokens - std::exchange(counted_, usage_.completion_tokens);
}

Result<> ChunkReader::Finish(Delta& delta) {
  if (!begun_) {
    return Fail(Code::kUnavailable,
                "The server's stream has no chunks; check that the address is that of an "
                "OpenAI-compatible API");
  }
  delta.finish_reason = reason_.value_or(FinishReason::kStop);
  delta.usage = usage_;
  return {};
}

}  // namespace inferq::engine
