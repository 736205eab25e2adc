#include "wire/locality.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

namespace inferq::wire {
namespace {

constexpr std::array<size_t, 4> kPrefixBytes = {256, 1024, 4096, 16384};

/// The pieces of a request that the model reads, in order. `Sink` is called with decoded text and
/// may say false to stop; images and messages are announced by OnImage and OnMessage.
template <class Sink>
class PromptWalk {
 public:
  explicit PromptWalk(Sink& sink) : sink_(sink) {}

  void Body(JsonValue body) {
    if (auto tools = body.Find("tools"); tools && !tools->is_null())
      sink_.Text(CompactJson(*tools));
    if (auto prompt = body.Find("prompt")) Content(*prompt);
    if (auto messages = body.Find("messages")) {
      for (JsonElements m(*messages); m.Next() && !sink_.full();) Message(m.value());
    }
  }

 private:
  void Message(JsonValue message) {
    sink_.Message();
    if (auto role = message.Find("role")) sink_.Text(role->AsString().value_or(""));
    sink_.Text("\n");
    if (auto content = message.Find("content")) Content(*content);
    if (auto calls = message.Find("tool_calls"); calls && !calls->is_null()) {
      sink_.Text(CompactJson(*calls));
    }
    sink_.Text("\n");
  }

  /// A string, or an array of strings and parts.
  void Content(JsonValue content) {
    if (auto text = content.AsString()) return sink_.Text(*text);
    for (JsonElements e(content); e.Next() && !sink_.full();) {
      if (auto text = e.value().AsString()) {
        sink_.Text(*text);
      } else if (auto part = e.value().Find("text")) {
        sink_.Text(part->AsString().value_or(""));
      } else {
        sink_.Image(e.value());
      }
    }
  }

  Sink& sink_;
};

/// Collects the first 16 KiB.
class PrefixSink {
 public:
  void Text(std::string_view text) {
    prefix_.append(text.substr(0, kPrefixBytes.back() - prefix_.size()));
  }
  void Message() {}
  /// Two images differ: their whole text stands for them.
  void Image(JsonValue part) { Text(part.text()); }
  bool full() const { return prefix_.size() >= kPrefixBytes.back(); }
  const std::string& prefix() const { return prefix_; }

 private:
  std::string prefix_;
};

class TokenSink {
 public:
  void Text(std::string_view text) { tokens_ += EstimateTextTokens(text); }
  void Message() {}  // its role and two line ends make about 4 tokens
  void Image(JsonValue) { tokens_ += kImageTokens; }
  bool full() const { return false; }
  model::TokenCount tokens() const { return tokens_; }

 private:
  model::TokenCount tokens_ = 0;
};

/// Chinese, kana, Hangul and full-width forms lie, but for rare ones, at U+2E80..U+FFEF, which is
/// what three-byte sequences from E2 BA on spell; and in the planes that F0 A0 and above begin.
bool IsCjkLead(unsigned char lead, unsigned char next) {
  if (lead == 0xE2) return next >= 0xBA;
  if (lead == 0xF0) return next >= 0xA0 && next < 0xB0;
  return lead >= 0xE3 && lead <= 0xEF;
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

model::LocalityKey LocalityOf(JsonValue body) {
  PrefixSink sink;
  PromptWalk(sink).Body(body);
  model::LocalityKey key{};
  uint64_t chain = 0;
  size_t from = 0;
  for (size_t i = 0; i < key.size() && sink.prefix().size() >= kPrefixBytes[i]; ++i) {
    chain = XXH3_64bits_withSeed(sink.prefix().data() + from, kPrefixBytes[i] - from, chain);
    if (chain == 0) chain = 1;
    key[i] = chain;
    from = kPrefixBytes[i];
  }
  return key;
}

model::TokenCount EstimateTextTokens(std::string_view text) {
  size_t cjk = 0;
  size_t cjk_bytes = 0;
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0xE2 || !IsCjkLead(lead, static_cast<unsigned char>(text[i + 1]))) continue;
    ++cjk;
    cjk_bytes += lead >= 0xF0 ? 4 : 3;
  }
  size_t other = text.size() - std::min(cjk_bytes, text.size());
  return (cjk * 2 + 2) / 3 + (other + 3) / 4;
}

model::TokenCount EstimatePromptTokens(JsonValue body) {
  TokenSink sink;
  PromptWalk(sink).Body(body);
  return sink.tokens();
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
