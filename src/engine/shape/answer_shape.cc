#include "engine/shape/answer_shape.h"

#include <algorithm>
#include <utility>

#include "wire/json_splice.h"

namespace inferq::engine {

using wire::JsonElements;
using wire::JsonSplice;
using wire::JsonString;
using wire::JsonValue;

namespace {

bool IsGiven(const std::optional<JsonValue>& value) { return value && !value->is_null(); }

int64_t IndexOf(JsonValue choice) {
  auto index = choice.Find("index");
  return index ? index->AsInteger().value_or(0) : 0;
}

/// The member of a choice that has its text, and the name that the text has in it: of a chat's
/// chunk "delta" and "content"; the choice itself and "text" in completions.
struct TextPlace {
  std::string_view part;  // "" is the choice itself
  std::string_view field;
  std::optional<JsonValue> In(JsonValue choice) const {
    return part.empty() ? choice : choice.Find(part);
  }
};
constexpr TextPlace kMessage{"message", "content"};
constexpr TextPlace kDelta{"delta", "content"};
constexpr TextPlace kCompletion{"", "text"};

std::optional<std::string> TextIn(const std::optional<JsonValue>& part, TextPlace place) {
  auto text = part ? part->Find(place.field) : std::nullopt;
  return text ? text->AsString() : std::nullopt;
}

/// Gives a choice this text, in place of the one it has.
void SetText(JsonValue choice, TextPlace place, const std::string& text,
             std::vector<JsonSplice>& splices) {
  const std::string json = JsonString(text);
  const std::string field(place.field);
  auto part = place.In(choice);
  const bool whole = part && part->type() == wire::JsonType::kObject;
  auto edits = whole ? SplicesOf(*part, {{field, json, true}})
                     : SplicesOf(choice, {{std::string(place.part),
                                           fmt::format(R"({{"{}":{}}})", field, json), true}});
  std::ranges::move(edits, std::back_inserter(splices));
}

std::string LastChunk(TextPlace place, int64_t index, const std::string& text) {
  std::string said = fmt::format(R"("{}":{})", place.field, JsonString(text));
  if (!place.part.empty()) said = fmt::format(R"("{}":{{{}}})", place.part, said);
  return fmt::format(R"({{"choices":[{{"index":{},{},"finish_reason":null}}]}})", index, said);
}

}  // namespace

std::string WithStops(JsonValue body, const std::vector<std::string>& added) {
  auto given = body.Find("stop");
  std::vector<JsonValue> all;
  if (IsGiven(given)) {
    const bool list = given->type() == wire::JsonType::kArray;
    if (!list && given->type() != wire::JsonType::kString) return std::string(body.text());
    all = list ? given->Elements() : std::vector{*given};
  }
  std::vector<std::string> stops;
  for (JsonValue stop : all) stops.emplace_back(stop.text());
  for (const std::string& stop : added) {
    const bool there = std::ranges::any_of(all, [&](JsonValue s) { return s.AsString() == stop; });
    if (!there) stops.push_back(JsonString(stop));
  }
  return SpliceJsonObject(body, {{"stop", fmt::format("[{}]", fmt::join(stops, ",")), true}});
}

void AnswerTrimmer::Trim(Delta& delta) {
  if (!delta.raw_response.empty()) {
    delta.raw_response = TrimBody(delta.raw_response);
    delta.text = CutSuffixes(delta.text, suffixes_);
    return;
  }
  in_chunks_ |= !delta.raw_chunks.empty();
  for (std::string& chunk : delta.raw_chunks) chunk = TrimChunk(chunk);
  if (!delta.text.empty()) delta.text = CutterOf(0).Feed(delta.text);
  if (!delta.finish_reason) return;
  for (auto& [choice, cutter] : choices_) {  // without a chunk that ends them
    std::string rest = cutter.End();
    if (rest.empty()) continue;
    if (!in_chunks_) {
      delta.text += rest;
    } else {
      delta.raw_chunks.push_back(LastChunk(chat_ ? kDelta : kCompletion, choice, rest));
    }
  }
  choices_.clear();
}

std::string AnswerTrimmer::TrimBody(const std::string& body) const {
  const TextPlace place = chat_ ? kMessage : kCompletion;
  auto json = wire::ParseJson(body);
  auto choices = json ? json->Find("choices") : std::nullopt;
  if (!choices) return body;
  std::vector<JsonSplice> splices;
  for (JsonElements choice(*choices); choice.Next();) {
    auto text = TextIn(place.In(choice.value()), place);
    if (!text) continue;
    std::string_view stays = CutSuffixes(*text, suffixes_);
    if (stays != *text) SetText(choice.value(), place, std::string(stays), splices);
  }
  return SpliceJson(body, splices);
}

std::string AnswerTrimmer::TrimChunk(const std::string& chunk) {
  const TextPlace place = chat_ ? kDelta : kCompletion;
  auto json = wire::ParseJson(chunk);
  auto choices = json ? json->Find("choices") : std::nullopt;
  if (!choices) return chunk;
  std::vector<JsonSplice> splices;
  for (JsonElements choice(*choices); choice.Next();) {
    const int64_t index = IndexOf(choice.value());
    auto text = TextIn(place.In(choice.value()), place);
    std::string stays = text ? CutterOf(index).Feed(*text) : std::string();
    if (IsGiven(choice.value().Find("finish_reason"))) stays += EndOf(index);
    if (stays != text.value_or("")) SetText(choice.value(), place, stays, splices);
  }
  return SpliceJson(chunk, splices);
}

std::string AnswerTrimmer::EndOf(int64_t choice) {
  auto cutter = choices_.extract(choice);
  return cutter ? cutter.mapped().End() : std::string();
}

}  // namespace inferq::engine
