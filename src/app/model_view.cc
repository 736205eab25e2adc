#include "app/model_view.h"

#include <algorithm>
#include <limits>

#include "app/progress.h"
#include "app/table.h"
#include "engine/llama/machine.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using engine::llama::ModelFacts;
using engine::llama::TypeShare;
using wire::JsonString;

constexpr uint64_t kMany = std::numeric_limits<uint64_t>::max();

// Rows of two columns; those without a value are left out.
class Facts {
 public:
  explicit Facts(std::string title, std::string value)
      : table_({std::move(title), std::move(value)}) {}
  void Add(std::string label, std::string value) {
    if (!value.empty()) table_.AddRow({std::move(label), std::move(value)});
  }
  void Count(std::string label, uint64_t value) {
    if (value != 0) Add(std::move(label), WithCommas(value));
  }
  std::string Text() const { return table_.Text(); }

 private:
  Table table_;
};

std::string Tokens(uint64_t n) { return n == 0 ? "" : WithCommas(n) + " tokens"; }

std::string HeadsText(const ModelFacts& facts) {
  if (facts.heads == 0) return "";
  return fmt::format("{} of {} numbers, {} for keys and values", facts.heads, facts.key_length,
                     facts.kv_heads);
}

std::string RopeText(const ModelFacts& facts) {
  std::vector<std::string> parts;
  if (facts.rope_dimensions) parts.push_back(fmt::format("{} dimensions", *facts.rope_dimensions));
  if (facts.rope_base) parts.push_back(fmt::format("base {}", *facts.rope_base));
  if (!facts.rope_scaling.empty()) parts.push_back("scaling " + facts.rope_scaling);
  if (facts.rope_factor) parts.push_back(fmt::format("factor {}", *facts.rope_factor));
  if (facts.rope_original_context)
    parts.push_back(fmt::format("made for {} tokens", *facts.rope_original_context));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string TokenizerText(const ModelFacts& facts) {
  if (facts.tokenizer.empty()) return "none";
  std::string text = facts.tokenizer;
  if (!facts.pre_tokenizer.empty()) text += ", " + facts.pre_tokenizer;
  return text + ", " + WithCommas(facts.vocabulary) + " tokens";
}

std::string TemplateText(const ModelFacts& facts) {
  if (!facts.chat_template) return "none: only completions";
  constexpr size_t kShown = 60;
  const std::string& text = *facts.chat_template;
  std::string line = text.substr(0, text.find('\n'));
  const bool cut = line.size() > kShown || line.size() < text.size();
  if (line.size() > kShown) line.resize(kShown);
  return wire::RepairUtf8(line) + (cut ? " … (all of it: --template)" : "");
}

std::string TypesText(const ModelFacts& facts) {
  Table table({"TYPE", "TENSORS", "NUMBERS", "BYTES"});
  for (const TypeShare& share : facts.types) {
    table.AddRow({share.type, WithCommas(share.tensors), WithCommas(share.elements),
                  WithCommas(share.bytes)});
  }
  return table.Text();
}

std::string FitText(const ModelFacts& facts, const Room& room) {
  const Fit fit = FitOf(facts, room);
  Facts lines("MEMORY", "");
  lines.Add("free here", Bytes(room.available_bytes));
  lines.Add("weights", Bytes(facts.tensor_bytes));
  if (fit.sequence_bytes == 0) {
    lines.Add("keys and values", "unknown, or the same for every length");
    return lines.Text();
  }
  lines.Add("keys and values",
            fmt::format("{} a token, {} for {} tokens", Bytes(facts.kv_bytes_per_token),
                        Bytes(fit.sequence_bytes), WithCommas(fit.context_tokens)));
  lines.Add("sequences that fit", WithCommas(fit.sequences) + " beside the weights");
  lines.Add("chosen by itself", fmt::format("{} slots of {} tokens, {} threads", fit.slots,
                                            WithCommas(fit.context_tokens), room.threads));
  return lines.Text();
}

// "key":value pairs.
class Json {
 public:
  void Raw(std::string_view key, std::string_view json) {
    text_ += fmt::format("{}\"{}\":{}", text_.empty() ? "" : ",", key, json);
  }
  void Text(std::string_view key, const std::string& value) { Raw(key, JsonString(value)); }
  void Count(std::string_view key, uint64_t value) { Raw(key, std::to_string(value)); }
  void Maybe(std::string_view key, std::optional<double> value) {
    Raw(key, value ? wire::JsonNumber(*value) : "null");
  }
  void MaybeText(std::string_view key, const std::string& value) {
    Raw(key, value.empty() ? "null" : JsonString(value));
  }
  std::string Object() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string TypesJson(const ModelFacts& facts) {
  std::string items;
  for (const TypeShare& share : facts.types) {
    Json item;
    item.Text("type", share.type);
    item.Count("tensors", share.tensors);
    item.Count("elements", share.elements);
    item.Count("bytes", share.bytes);
    items += (items.empty() ? "" : ",") + item.Object();
  }
  return "[" + items + "]";
}

std::string RopeJson(const ModelFacts& facts) {
  const auto number = [](std::optional<uint64_t> value) {
    return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
  };
  Json rope;
  rope.Maybe("dimensions", number(facts.rope_dimensions));
  rope.Maybe("base", facts.rope_base);
  rope.MaybeText("scaling", facts.rope_scaling);
  rope.Maybe("factor", facts.rope_factor);
  rope.Maybe("original_context_tokens", number(facts.rope_original_context));
  return rope.Object();
}

std::string FitJson(const ModelFacts& facts, const Room& room) {
  const Fit fit = FitOf(facts, room);
  Json json;
  json.Count("available_bytes", room.available_bytes);
  json.Count("context_tokens", fit.context_tokens);
  json.Count("sequence_bytes", fit.sequence_bytes);
  json.Raw("sequences", fit.sequences == kMany ? "null" : std::to_string(fit.sequences));
  json.Count("slots", fit.slots);
  json.Count("threads", room.threads);
  return json.Object();
}

}  // namespace

Fit FitOf(const ModelFacts& facts, const Room& room) {
  using engine::llama::kUsualContext;
  constexpr uint64_t kLongest = uint64_t{1} << 30;  // keeps the products in range
  Fit fit;
  fit.context_tokens = room.context_tokens;
  if (fit.context_tokens == 0)
    fit.context_tokens = facts.trained_context == 0
                             ? kUsualContext
                             : std::min<uint64_t>(facts.trained_context, kUsualContext);
  fit.context_tokens = std::min(fit.context_tokens, kLongest);
  const uint64_t per_token = std::min(facts.kv_bytes_per_token, kLongest);
  fit.sequence_bytes = per_token * fit.context_tokens;
  fit.sequences = engine::llama::SequencesThatFit(room.available_bytes, facts.tensor_bytes,
                                                  per_token, fit.context_tokens);
  fit.slots = engine::llama::UsualSlots(room.available_bytes, per_token, fit.context_tokens);
  return fit;
}

std::string ParameterCount(uint64_t n) {
  if (n >= 1'000'000'000) return fmt::format("{:.1f} B", static_cast<double>(n) / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} M", static_cast<double>(n) / 1e6);
  return WithCommas(n);
}

std::string ModelLine(const ModelFacts& facts) {
  std::vector<std::string> parts;
  parts.push_back(facts.architecture.empty() ? "no architecture" : facts.architecture);
  if (facts.kind != "model") parts.push_back(facts.kind);
  parts.push_back(ParameterCount(facts.parameters) + " parameters");
  if (!facts.file_type.empty()) parts.push_back(facts.file_type);
  if (facts.trained_context != 0)
    parts.push_back(WithCommas(facts.trained_context) + " tokens of context");
  if (!facts.pooling.empty()) parts.push_back("pooling " + facts.pooling);
  return Printable(fmt::format("{}", fmt::join(parts, ", ")));
}

std::string ModelText(const std::string& path, const ModelFacts& facts, const Room& room) {
  Facts lines("MODEL", path);
  lines.Add("name", facts.name);
  lines.Add("kind", facts.kind == "model" ? "" : facts.kind);
  lines.Add("architecture", facts.architecture);
  lines.Add("file", fmt::format("{}, GGUF version {}{}", Bytes(facts.file_bytes), facts.version,
                                facts.parts > 1 ? fmt::format(", {} parts", facts.parts) : ""));
  lines.Add("quantisation", facts.file_type);
  lines.Add("parameters", ParameterCount(facts.parameters));
  lines.Count("layers", facts.layers);
  lines.Count("width", facts.width);
  lines.Count("feed-forward", facts.feed_forward);
  lines.Add("heads", HeadsText(facts));
  if (facts.experts != 0)
    lines.Add("experts", fmt::format("{}, {} for a token", facts.experts, facts.experts_used));
  lines.Add("trained for", Tokens(facts.trained_context));
  lines.Add("sliding window", Tokens(facts.sliding_window));
  lines.Add("rope", RopeText(facts));
  lines.Add("pooling", facts.pooling);
  if (facts.kind == "adapter") return lines.Text() + "\n" + TypesText(facts);
  lines.Add("tokenizer", TokenizerText(facts));
  lines.Add("chat template", TemplateText(facts));
  return lines.Text() + "\n" + TypesText(facts) + "\n" + FitText(facts, room);
}

std::string ModelJson(const std::string& path, const ModelFacts& facts, const Room& room,
                      bool with_template) {
  Json json;
  json.Text("path", path);
  json.Text("kind", facts.kind);
  json.MaybeText("architecture", facts.architecture);
  json.MaybeText("name", facts.name);
  json.Count("gguf_version", facts.version);
  json.Count("parts", facts.parts);
  json.Count("file_bytes", facts.file_bytes);
  json.MaybeText("file_type", facts.file_type);
  json.Raw("types", TypesJson(facts));
  json.Count("tensors", facts.tensors);
  json.Count("tensor_bytes", facts.tensor_bytes);
  json.Count("parameters", facts.parameters);
  json.Count("layers", facts.layers);
  json.Count("width", facts.width);
  json.Count("feed_forward", facts.feed_forward);
  json.Count("heads", facts.heads);
  json.Count("kv_heads", facts.kv_heads);
  json.Count("key_length", facts.key_length);
  json.Count("value_length", facts.value_length);
  json.Count("experts", facts.experts);
  json.Count("experts_used", facts.experts_used);
  json.Count("trained_context_tokens", facts.trained_context);
  json.Count("sliding_window", facts.sliding_window);
  json.Raw("rope", RopeJson(facts));
  json.MaybeText("pooling", facts.pooling);
  json.MaybeText("tokenizer", facts.tokenizer);
  json.MaybeText("pre_tokenizer", facts.pre_tokenizer);
  json.Count("vocabulary", facts.vocabulary);
  json.Raw("has_chat_template", facts.chat_template ? "true" : "false");
  if (with_template) json.MaybeText("chat_template", facts.chat_template.value_or(""));
  json.Count("kv_bytes_per_token", facts.kv_bytes_per_token);
  json.Raw("fit", FitJson(facts, room));
  return json.Object();
}

}  // namespace inferq::app
