#include "gguf/vocabulary.h"

#include <array>
#include <set>
#include <string_view>

#include "base/check.h"

namespace inferq::gguf {
namespace {

// Words are tokens with their leading space. Phone screens, reviews and small talk.
constexpr std::string_view kWords =
    "the and you that was for are with his they this have from one had word but not what all were "
    "when your can said "
    "there use each which she how their will other about out many then them these some her would "
    "make like him into "
    "time has look two more write see number way could people than first water been call who oil "
    "its now find long "
    "down day did get come made may part open tap swipe type press back home wait launch note "
    "screen button list item "
    "search menu page text send message photo call mail map order food price cart pay train ticket "
    "hotel flight city "
    "weather today tomorrow morning night good bad great poor fine fast slow happy angry review "
    "stars quality service "
    "delivery broken perfect return again never always please thanks sorry yes no maybe true false "
    "left right up top "
    "done next login code phone app video music play stop start set alarm contact share save "
    "delete edit";

constexpr std::string_view kHanzi =
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"
    "她里后小么心多天而能好都然"
    "没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长点击打搜索滑返回"
    "输入等待完成屏幕按钮页外卖"
    "订票价格天气今明晚早上午请谢谢差评快慢";

std::string Utf8(uint32_t code_point) {  // below U+0800
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

bool IsSpelledAsItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::array<std::string, 256> MakeSpelling() {
  std::array<std::string, 256> spelling;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte)
    spelling[byte] = Utf8(IsSpelledAsItself(byte) ? byte : next++);
  return spelling;
}

const std::string& Spelling(char byte) {
  static const std::array<std::string, 256> spelling = MakeSpelling();
  return spelling[static_cast<unsigned char>(byte)];
}

// Readable text is likely, halves of characters are rare, control bytes do not occur.
float GainOfByte(uint32_t byte) {
  if (byte >= 0x80) return 0.7F;
  return byte == '\n' || (byte >= 0x20 && byte < 0x7F) ? 0.85F : 0.0F;
}

class Builder {
 public:
  Builder() {
    for (uint32_t byte = 0; byte < 256; ++byte)
      Add(SpellBytes(std::string(1, static_cast<char>(byte))), TokenKind::kNormal,
          GainOfByte(byte));
  }

  /// Adds every prefix of `bytes` that is not there yet, with the merge that makes it.
  void AddWord(std::string_view bytes, float gain_of_prefix) {
    for (size_t length = 2; length <= bytes.size(); ++length) {
      std::string text = SpellBytes(bytes.substr(0, length));
      if (known_.contains(text)) continue;
      vocabulary_.merges.push_back(SpellBytes(bytes.substr(0, length - 1)) + " " +
                                   Spelling(bytes[length - 1]));
      Add(std::move(text), TokenKind::kNormal, length == bytes.size() ? 1.0F : gain_of_prefix);
    }
  }

  int32_t Add(std::string text, TokenKind kind, float gain) {
    INFERQ_CHECK(known_.insert(text).second);
    vocabulary_.tokens.push_back({.text = std::move(text), .kind = kind, .gain = gain});
    return static_cast<int32_t>(vocabulary_.tokens.size() - 1);
  }

  Vocabulary& vocabulary() { return vocabulary_; }

 private:
  std::set<std::string> known_;
  Vocabulary vocabulary_;
};

void AddSpecialTokens(Builder& builder) {
  auto add = [&](std::string_view text, float gain) {
    return builder.Add(std::string(text), TokenKind::kControl, gain);
  };
  // A gain above 1 makes the end of text win now and then: answers of a random model differ in
  // length.
  builder.vocabulary().end_of_text = add("<|endoftext|>", 1.25F);
  for (auto text : {"[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>"}) add(text, 0);
  builder.vocabulary().end_of_turn = add("<|user|>", 1.0F);
  for (auto text : {"<|assistant|>", "<|observation|>"}) add(text, 0);
}

}  // namespace

std::string SpellBytes(std::string_view bytes) {
  std::string text;
  for (char byte : bytes) text += Spelling(byte);
  return text;
}

Vocabulary MakeVocabulary(uint32_t size) {
  Builder builder;
  for (size_t begin = 0; begin < kWords.size();) {
    size_t end = std::min(kWords.find(' ', begin), kWords.size());
    builder.AddWord(" " + std::string(kWords.substr(begin, end - begin)), 0.9F);
    begin = end + 1;
  }
  for (size_t i = 0; i < kHanzi.size(); i += 3) builder.AddWord(kHanzi.substr(i, 3), 0.7F);
  AddSpecialTokens(builder);
  auto& tokens = builder.vocabulary().tokens;
  INFERQ_CHECK(size == 0 || size >= tokens.size());
  while (tokens.size() < size)
    builder.Add(fmt::format("<|unused_{}|>", tokens.size()), TokenKind::kUnused, 0);
  return std::move(builder.vocabulary());
}

std::string ChatTemplate() {
  return R"([gMASK]<sop>
{%- set names = {'system': 'system', 'developer': 'system', 'user': 'user',
                 'assistant': 'assistant', 'tool': 'observation', 'observation': 'observation'} -%}
{%- for message in messages -%}
  {%- if message.role not in names -%}
    {{ raise_exception('unknown role ' ~ message.role) }}
  {%- endif -%}
  <|{{ names[message.role] }}|>{{ '\n' }}
  {%- if message.content is string -%}
    {{ message.content }}
  {%- elif message.content -%}
    {%- for part in message.content if part.type == 'text' -%}
      {{ part.text }}
    {%- endfor -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  <|assistant|>{{ '\n' }}
{%- endif -%}
)";
}

std::string ToolChatTemplate() {
  return R"([gMASK]<sop>
{%- if tools -%}
  <|system|>{{ '\n# Tools\n' }}
  {%- for tool in tools -%}
    {{ tool | tojson }}{{ '\n' }}
  {%- endfor -%}
  {{ 'Call one: [sMASK]{"name": ..., "arguments": ...}<eop>' }}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}
    <|observation|>{{ '\n<tool_response>\n' ~ message.content ~ '\n</tool_response>' }}
  {%- elif message.role == 'assistant' and message.tool_calls -%}
    <|assistant|>{{ '\n' }}
    {%- if message.content -%}
      {{ message.content ~ '\n' }}
    {%- endif -%}
    {%- for tool_call in message.tool_calls -%}
      {%- if not loop.first -%}{{ '\n' }}{%- endif -%}
      {{ '[sMASK]{"name": "' ~ tool_call.function.name ~ '", "arguments": ' }}
      {{- tool_call.function.arguments | tojson }}
      {{- '}<eop>' }}
    {%- endfor -%}
    {{ '<|endoftext|>' }}
  {%- else -%}
    <|{{ message.role }}|>{{ '\n' ~ message.content }}
    {%- if message.role == 'assistant' -%}
      {{ '<|endoftext|>' }}
    {%- endif -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  <|assistant|>{{ '\n' }}
{%- endif -%}
)";
}

}  // namespace inferq::gguf
