#include "wire/locality.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace inferq::wire {
namespace {

constexpr std::array<size_t, 4> kPrefixBytes = {256, 1024, 4096, 16384};

/// Takes the pieces of a request in the order in which the model reads them.
class SurveySink {
 public:
  void Text(std::string_view text) {
    tokens_ += EstimateTextTokens(text);
    AddToPrefix(text);
  }
  /// Two images differ: their whole text stands for them.
  void Image(JsonValue part) {
    tokens_ += kImageTokens;
    AddToPrefix(part.text());
  }
  void Tokens(model::TokenCount count) { tokens_ += count; }
  model::TokenCount tokens() const { return tokens_; }
  model::LocalityKey Locality() const;

 private:
  void AddToPrefix(std::string_view text) {
    prefix_.append(text.substr(0, kPrefixBytes.back() - prefix_.size()));
  }

  model::TokenCount tokens_ = 0;
  std::string prefix_;  // the first 16 KiB
};

model::LocalityKey SurveySink::Locality() const {
  model::LocalityKey key{};
  uint64_t chain = 0;
  size_t from = 0;
  for (size_t i = 0; i < key.size() && prefix_.size() >= kPrefixBytes[i]; ++i) {
    chain = XXH3_64bits_withSeed(prefix_.data() + from, kPrefixBytes[i] - from, chain);
    if (chain == 0) chain = 1;
    key[i] = chain;
    from = kPrefixBytes[i];
  }
  return key;
}

bool IsArrayOfObjects(JsonValue value) {
  JsonElements first(value);
  return first.Next() && first.value().type() == JsonType::kObject;
}

/// The members of a body that are looked at, found in one pass.
struct BodyParts {
  std::optional<JsonValue> tools, prompt, input, messages, instructions;
  std::optional<JsonValue> max_tokens, max_completion_tokens, max_output_tokens;

  /// A request of /v1/responses, as far as it can be told from one for embeddings.
  bool responds() const {
    if (!input || prompt || messages) return false;
    return instructions || max_output_tokens || IsArrayOfObjects(*input);
  }
  /// A request for embeddings: nothing will be generated.
  bool embeds() const { return input && !prompt && !messages && !responds(); }

  std::optional<JsonValue>* Slot(const JsonMembers& member) {
    if (member.KeyIs("messages")) return &messages;
    if (member.KeyIs("max_tokens")) return &max_tokens;
    if (member.KeyIs("max_completion_tokens")) return &max_completion_tokens;
    if (member.KeyIs("max_output_tokens")) return &max_output_tokens;
    if (member.KeyIs("instructions")) return &instructions;
    if (member.KeyIs("tools")) return &tools;
    if (member.KeyIs("prompt")) return &prompt;
    if (member.KeyIs("input")) return &input;
    return nullptr;
  }
};

/// The same of a message.
struct MessageParts {
  std::optional<JsonValue> role, content, tool_calls;

  std::optional<JsonValue>* Slot(const JsonMembers& member) {
    if (member.KeyIs("role")) return &role;
    if (member.KeyIs("content")) return &content;
    if (member.KeyIs("tool_calls")) return &tool_calls;
    return nullptr;
  }
};

/// Of a repeated member, the first counts.
template <class Parts>
Parts Collect(JsonValue object) {
  Parts parts;
  for (JsonMembers member(object); member.Next();) {
    auto* slot = parts.Slot(member);
    if (slot != nullptr && !*slot) *slot = member.value();
  }
  return parts;
}

class PromptWalk {
 public:
  explicit PromptWalk(SurveySink& sink) : sink_(sink) {}

  void Body(const BodyParts& body) {
    Json(body.tools);
    if (body.prompt) Content(*body.prompt);
    if (body.embeds()) Input(*body.input);
    if (body.responds()) Response(body);
    if (body.messages) Messages(*body.messages);
  }

 private:
  void Response(const BodyParts& body) {
    if (body.instructions) Content(*body.instructions);
    if (body.input->type() == JsonType::kString) return Content(*body.input);
    Messages(*body.input);
  }

  void Messages(JsonValue messages) {
    for (JsonElements m(messages); m.Next();) Message(Collect<MessageParts>(m.value()));
  }

  // Its role and two line ends make about the tokens that a chat template adds.
  void Message(const MessageParts& message) {
    if (message.role) sink_.Text(message.role->AsText(decoded_).value_or(""));
    sink_.Text("\n");
    if (message.content) Content(*message.content);
    Json(message.tool_calls);
    sink_.Text("\n");
  }

  /// A string, or an array of strings and parts.
  void Content(JsonValue content) {
    if (auto text = content.AsText(decoded_)) return sink_.Text(*text);
    for (JsonElements e(content); e.Next();) {
      if (auto text = e.value().AsText(decoded_)) {
        sink_.Text(*text);
      } else if (auto part = e.value().Find("text")) {
        sink_.Text(part->AsText(decoded_).value_or(""));
      } else {
        sink_.Image(e.value());
      }
    }
  }

  /// A text, token ids, or an array of such. Prefixes are of no use: nothing stays in a cache.
  void Input(JsonValue input) {
    if (auto text = input.AsText(decoded_)) return sink_.Tokens(EstimateTextTokens(*text));
    if (input.type() == JsonType::kNumber) return sink_.Tokens(1);
    for (JsonElements e(input); e.Next();) {
      if (e.value().type() == JsonType::kArray) {
        for (JsonElements id(e.value()); id.Next();) sink_.Tokens(1);
      } else {
        Input(e.value());
      }
    }
  }

  void Json(const std::optional<JsonValue>& value) {
    if (value && !value->is_null()) sink_.Text(CompactJson(*value));
  }

  SurveySink& sink_;
  std::string decoded_;
};

/// One, or as many as an array has that is not one of token ids.
uint64_t CountInputs(const BodyParts& body) {
  if (!body.embeds()) return 0;
  if (body.input->type() != JsonType::kArray) return 1;
  uint64_t count = 0;
  for (JsonElements e(*body.input); e.Next(); ++count) {
    if (e.value().type() == JsonType::kNumber) return 1;
  }
  return count;
}

std::optional<int64_t> OutputLimit(const BodyParts& body) {
  if (body.embeds()) return 0;
  auto limit = body.max_completion_tokens;
  if (!limit || limit->is_null()) limit = body.max_tokens;
  if (!limit || limit->is_null()) limit = body.max_output_tokens;
  return limit ? limit->AsInteger() : std::nullopt;
}

/// Chinese, kana, Hangul and full-width forms lie, but for rare ones, at U+2E80..U+FFEF, which is
/// what three-byte sequences from E2 BA on spell; and in the planes that F0 A0 and above begin.
bool IsCjkLead(unsigned char lead, unsigned char next) {
  if (lead == 0xE2) return next >= 0xBA;
  if (lead == 0xF0) return next >= 0xA0 && next < 0xB0;
  return lead >= 0xE3 && lead <= 0xEF;
}

bool EightAreAscii(const char* text) {
  uint64_t eight;
  std::memcpy(&eight, text, sizeof eight);
  return (eight & 0x8080808080808080) == 0;
}

uint64_t HashTagged(char tag, std::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), static_cast<unsigned char>(tag));
}

uint64_t HashWords(char tag, const std::vector<uint64_t>& words) {
  return XXH3_64bits_withSeed(words.data(), words.size() * sizeof(uint64_t),
                              static_cast<unsigned char>(tag));
}

uint64_t HashNumber(JsonValue value) {
  if (auto integer = value.AsInteger()) return HashWords('i', {std::bit_cast<uint64_t>(*integer)});
  if (auto real = value.AsDouble()) return HashWords('d', {std::bit_cast<uint64_t>(*real)});
  return HashTagged('n', value.text());
}

uint64_t HashArray(JsonValue value) {
  std::vector<uint64_t> words;
  for (JsonElements e(value); e.Next();) words.push_back(ContentHash(e.value()));
  return HashWords('a', words);
}

uint64_t HashObject(JsonValue value) {
  std::vector<std::pair<uint64_t, uint64_t>> members;
  for (JsonMembers m(value); m.Next();) {
    members.emplace_back(HashTagged('k', m.key()), ContentHash(m.value()));
  }
  std::ranges::sort(members);
  std::vector<uint64_t> words;
  for (auto [key, content] : members) words.insert(words.end(), {key, content});
  return HashWords('o', words);
}

}  // namespace

PromptSurvey SurveyPrompt(JsonValue body) {
  auto parts = Collect<BodyParts>(body);
  SurveySink sink;
  PromptWalk(sink).Body(parts);
  return {.tokens = sink.tokens(),
          .output_limit = OutputLimit(parts),
          .inputs = CountInputs(parts),
          .locality = sink.Locality()};
}

model::TokenCount EstimateTextTokens(std::string_view text) {
  size_t cjk = 0;
  size_t cjk_bytes = 0;
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    while (i + 8 < text.size() && EightAreAscii(text.data() + i)) i += 8;
    auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0xE2 || !IsCjkLead(lead, static_cast<unsigned char>(text[i + 1]))) continue;
    ++cjk;
    cjk_bytes += lead >= 0xF0 ? 4 : 3;
  }
  size_t other = text.size() - std::min(cjk_bytes, text.size());
  return (cjk * 2 + 2) / 3 + (other + 3) / 4;
}

uint64_t ContentHash(JsonValue value) {
  switch (value.type()) {
    case JsonType::kString:
      return HashTagged('s', *value.AsString());
    case JsonType::kNumber:
      return HashNumber(value);
    case JsonType::kArray:
      return HashArray(value);
    case JsonType::kObject:
      return HashObject(value);
    default:
      return HashTagged('l', value.text());
  }
}

Hash128 HashBytes(std::string_view bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace inferq::wire
