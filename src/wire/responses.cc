#include "wire/responses.h"

#include <algorithm>
#include <utility>

#include "wire/json_splice.h"

namespace inferq::wire {

using base::Code;
using base::Fail;
using base::Result;

namespace {

std::string StringIn(const std::optional<JsonValue>& object, std::string_view key) {
  auto value = object ? object->Find(key) : std::nullopt;
  return value ? value->AsString().value_or("") : "";
}

uint64_t CountIn(const std::optional<JsonValue>& object, std::string_view key) {
  auto value = object ? object->Find(key) : std::nullopt;
  int64_t count = value ? value->AsInteger().value_or(0) : 0;
  return count > 0 ? static_cast<uint64_t>(count) : 0;
}

std::optional<JsonValue> FirstChoice(JsonValue body) {
  auto choices = body.Find("choices");
  if (!choices) return std::nullopt;
  for (JsonElements choice(*choices); choice.Next();) {
    auto index = choice.value().Find("index");
    if (!index || index->AsInteger().value_or(0) == 0) return choice.value();
  }
  return std::nullopt;
}

std::string PartJson(std::string_view text) {
  return fmt::format(R"({{"type":"output_text","annotations":[],"logprobs":[],"text":{}}})",
                     JsonString(text));
}

}  // namespace

void ResponseWriter::AddText(std::string_view text, Events& out) {
  if (text.empty()) return;
  size_t index = OpenMessage(out);
  items_[index].text += text;
  AddDelta("response.output_text.delta", index, text, out);
}

void ResponseWriter::AddCall(int64_t number, const ToolCall& piece, Events& out) {
  size_t index = OpenCall(number, piece, out);
  if (piece.arguments.empty()) return;
  items_[index].text += piece.arguments;
  AddDelta("response.function_call_arguments.delta", index, piece.arguments, out);
}

void ResponseWriter::AddChunk(JsonValue chunk, Events& out) {
  auto choice = FirstChoice(chunk);
  auto delta = choice ? choice->Find("delta") : std::nullopt;
  if (!delta) return;
  AddText(StringIn(delta, "content"), out);
  AddToolCalls(*delta, out);
}

void ResponseWriter::AddBody(JsonValue body, Events& out) {
  auto choice = FirstChoice(body);
  auto message = choice ? choice->Find("message") : std::nullopt;
  if (!message) return;
  AddText(StringIn(message, "content"), out);
  AddToolCalls(*message, out);
}

void ResponseWriter::AddToolCalls(JsonValue message, Events& out) {
  auto calls = message.Find("tool_calls");
  if (!calls) return;
  int64_t number = 0;
  for (JsonElements call(*calls); call.Next(); ++number) {
    auto index = call.value().Find("index");
    auto function = call.value().Find("function");
    ToolCall piece{.id = StringIn(call.value(), "id"),
                   .name = StringIn(function, "name"),
                   .arguments = StringIn(function, "arguments")};
    AddCall(index ? index->AsInteger().value_or(number) : number, piece, out);
  }
}

void ResponseWriter::Finish(std::string_view finish_reason, const TokenUsage& usage, Events& out) {
  if (items_.empty()) OpenMessage(out);
  const bool length = finish_reason == "length";
  const bool cut = length || finish_reason == "content_filter";
  if (cut) {
    incomplete_ = fmt::format(R"({{"reason":"{}"}})", length ? "max_output_tokens" : finish_reason);
  }
  status_ = cut ? "incomplete" : "completed";
  for (size_t i = 0; i < items_.size(); ++i) Close(i, out);
  usage_ = ResponseUsageJson(usage);
  Emit("response." + status_, R"("response":)" + Object(), out);
}

std::string ResponseWriter::Object() const {
  std::string output;
  for (const Item& item : items_) output += (output.empty() ? "" : ",") + ItemJson(item);
  return fmt::format(
      R"({{"id":"resp_{}","object":"response","created_at":{},"status":"{}","error":null,)"
      R"("incomplete_details":{},"model":{},"output":[{}],"usage":{},{}}})",
      head_.id, head_.created, status_, incomplete_, JsonString(head_.model), output, usage_,
      head_.echo);
}

void ResponseWriter::Begin(Events& out) {
  if (events_ > 0) return;
  for (std::string_view type : {"response.created", "response.in_progress"}) {
    Emit(type, R"("response":)" + Object(), out);
  }
}

// The message that text goes into: the last one, as calls do not end it.
size_t ResponseWriter::OpenMessage(Events& out) {
  auto open = std::ranges::find_if(items_, [](const Item& i) { return !i.call && !i.done; });
  if (open != items_.end()) return static_cast<size_t>(open - items_.begin());
  Begin(out);
  const size_t index = items_.size();
  items_.push_back({.id = fmt::format("msg_{}_{}", head_.id, index)});
  Emit(
      "response.output_item.added",
      fmt::format(
          R"("output_index":{},"item":{{"id":"{}","type":"message","status":"in_progress","role":"assistant","content":[]}})",
          index, items_[index].id),
      out);
  Emit("response.content_part.added", fmt::format(R"({},"part":{})", Place(index), PartJson("")),
       out);
  return index;
}

size_t ResponseWriter::OpenCall(int64_t number, const ToolCall& first, Events& out) {
  auto known =
      std::ranges::find_if(items_, [&](const Item& i) { return i.call && i.number == number; });
  if (known != items_.end()) return static_cast<size_t>(known - items_.begin());
  Begin(out);
  const size_t index = items_.size();
  for (size_t i = 0; i < index; ++i) {
    if (!items_[i].call) Close(i, out);
  }
  const std::string id = fmt::format("{}_{}", head_.id, index);
  items_.push_back({.call = true,
                    .number = number,
                    .id = "fc_" + id,
                    .call_id = first.id.empty() ? "call_" + id : first.id,
                    .name = first.name});
  Emit("response.output_item.added",
       fmt::format(R"("output_index":{},"item":{})", index, ItemJson(items_[index])), out);
  return index;
}

void ResponseWriter::Close(size_t index, Events& out) {
  if (items_[index].done) return;
  items_[index].done = true;
  const Item& item = items_[index];
  const std::string text = JsonString(item.text);
  if (item.call) {
    Emit("response.function_call_arguments.done",
         fmt::format(R"({},"name":{},"arguments":{})", Place(index), JsonString(item.name), text),
         out);
  } else {
    Emit("response.output_text.done",
         fmt::format(R"({},"logprobs":[],"text":{})", Place(index), text), out);
    Emit("response.content_part.done",
         fmt::format(R"({},"part":{})", Place(index), PartJson(item.text)), out);
  }
  Emit("response.output_item.done",
       fmt::format(R"("output_index":{},"item":{})", index, ItemJson(item)), out);
}

void ResponseWriter::AddDelta(std::string_view type, size_t index, std::string_view delta,
                              Events& out) {
  std::string members = fmt::format(R"({},"delta":{})", Place(index), JsonString(delta));
  if (!items_[index].call) members += R"(,"logprobs":[])";
  Emit(type, members, out);
}

// Where an event belongs.
std::string ResponseWriter::Place(size_t index) const {
  return fmt::format(R"("item_id":"{}","output_index":{}{})", items_[index].id, index,
                     items_[index].call ? "" : R"(,"content_index":0)");
}

void ResponseWriter::Emit(std::string_view type, std::string_view members, Events& out) {
  out.push_back(
      fmt::format(R"({{"type":"{}","sequence_number":{},{}}})", type, events_++, members));
}

std::string ResponseWriter::ItemJson(const Item& item) const {
  const bool cut = status_ == "incomplete" && &item == &items_.back();
  const std::string_view status = !item.done ? "in_progress" : cut ? "incomplete" : "completed";
  if (item.call) {
    return fmt::format(
        R"({{"id":"{}","type":"function_call","status":"{}","arguments":{},"call_id":{},"name":{}}})",
        item.id, status, JsonString(item.text), JsonString(item.call_id), JsonString(item.name));
  }
  return fmt::format(
      R"({{"id":"{}","type":"message","status":"{}","role":"assistant","content":[{}]}})", item.id,
      status, PartJson(item.text));
}

std::string ResponseUsageJson(const TokenUsage& usage) {
  const std::string distinct = usage.distinct_tokens == 0
                                   ? ""
                                   : fmt::format(R"(,"distinct_tokens":{})", usage.distinct_tokens);
  return fmt::format(
      R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}{}}},"output_tokens":{},)"
      R"("output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}})",
      usage.prompt_tokens, usage.cached_tokens, distinct, usage.completion_tokens,
      usage.prompt_tokens + usage.completion_tokens);
}

std::string FailureEvent(std::string_view first_event, uint64_t sequence, const ApiError& error) {
  const std::string code = JsonString(error.code.empty() ? "server_error" : error.code);
  const std::string message = JsonString(error.message);
  auto first = ParseJson(first_event);
  auto response = first ? first->Find("response") : std::nullopt;
  if (!response) {
    return fmt::format(
               R"({{"type":"error","sequence_number":{},"code":{},"message":{},"param":{},)",
               sequence, code, message, error.param.empty() ? "null" : JsonString(error.param))
        .append(ErrorEnvelope(error), 1);
  }
  std::string failed = SpliceJsonObject(
      *response, {{"status", R"("failed")", true},
                  {"error", fmt::format(R"({{"code":{},"message":{}}})", code, message), true}});
  return fmt::format(R"({{"type":"response.failed","sequence_number":{},"response":{}}})", sequence,
                     failed);
}

Result<Completion> ParseResponseBody(JsonValue body) {
  auto output = body.Find("output");
  if (!output) return Fail(Code::kInvalidArgument, "The response has no output.");
  Completion completion{.id = StringIn(body, "id"), .model = StringIn(body, "model")};
  for (JsonElements item(*output); item.Next();) {
    auto content = item.value().Find("content");
    if (StringIn(item.value(), "type") != "message" || !content) continue;
    for (JsonElements part(*content); part.Next();) {
      completion.text += StringIn(part.value(), "text");
    }
  }
  completion.finish_reason = StringIn(body, "status") == "incomplete" ? "length" : "stop";
  auto usage = body.Find("usage");
  completion.usage.prompt_tokens = CountIn(usage, "input_tokens");
  completion.usage.completion_tokens = CountIn(usage, "output_tokens");
  auto details = usage ? usage->Find("input_tokens_details") : std::nullopt;
  completion.usage.cached_tokens = CountIn(details, "cached_tokens");
  completion.usage.distinct_tokens = CountIn(details, "distinct_tokens");
  return completion;
}

}  // namespace inferq::wire
