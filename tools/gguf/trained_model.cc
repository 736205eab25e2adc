#include "gguf/trained_model.h"

#include <array>
#include <set>

#include "base/file_system.h"
#include "wire/json.h"

namespace inferq::gguf {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using wire::JsonValue;

Result<JsonValue> Member(const JsonValue& object, std::string_view key) {
  std::optional<JsonValue> value = object.Find(key);
  if (!value) return Fail(Code::kInvalidArgument, "{} is missing", key);
  return *value;
}

Result<std::string> Text(const JsonValue& object, std::string_view key) {
  INFERQ_ASSIGN(JsonValue value, Member(object, key));
  std::optional<std::string> text = value.AsString();
  if (!text)
    return Fail(Code::kInvalidArgument, "{} is {}; it must be a string", key, value.text());
  return *std::move(text);
}

Result<uint32_t> Number(const JsonValue& object, std::string_view key) {
  INFERQ_ASSIGN(JsonValue value, Member(object, key));
  std::optional<int64_t> number = value.AsInteger();
  if (!number || *number < 0 || *number > INT32_MAX)
    return Fail(Code::kInvalidArgument, "{} is {}; it must be a number that is not negative", key,
                value.text());
  return static_cast<uint32_t>(*number);
}

Result<std::vector<std::string>> Texts(const JsonValue& object, std::string_view key) {
  INFERQ_ASSIGN(JsonValue value, Member(object, key));
  std::vector<std::string> texts;
  for (const JsonValue& element : value.Elements()) {
    std::optional<std::string> text = element.AsString();
    if (!text)
      return Fail(Code::kInvalidArgument, "{}[{}] is {}; it must be a string", key, texts.size(),
                  element.text());
    texts.push_back(*std::move(text));
  }
  if (texts.empty()) return Fail(Code::kInvalidArgument, "{} is empty or no list", key);
  return texts;
}

using Known = std::set<std::string_view>;

Result<> CheckMerge(const std::string& merge, const Known& known) {
  size_t space = merge.find(' ');
  if (space == std::string::npos)
    return Fail(Code::kInvalidArgument, "merge \"{}\" has no space between two tokens", merge);
  std::string left = merge.substr(0, space), right = merge.substr(space + 1);
  for (const std::string& part : {left, right, left + right})
    if (!known.contains(part))
      return Fail(Code::kInvalidArgument, "merge \"{}\": \"{}\" is no token", merge, part);
  return {};
}

/// What libllama relies on and would not report well.
Result<> CheckVocabulary(const Vocabulary& vocabulary) {
  Known known;
  for (const Token& token : vocabulary.tokens)
    if (!known.insert(token.text).second)
      return Fail(Code::kInvalidArgument, "token \"{}\" comes twice", token.text);
  for (int byte = 0; byte < 256; ++byte)
    if (!known.contains(SpellBytes(std::string(1, static_cast<char>(byte)))))
      return Fail(Code::kInvalidArgument, "byte 0x{:02x} has no token", byte);
  for (const std::string& merge : vocabulary.merges) INFERQ_TRY(CheckMerge(merge, known));
  auto size = static_cast<int32_t>(vocabulary.tokens.size());
  for (auto [key, id] : {std::pair("end_of_text", vocabulary.end_of_text),
                         std::pair("end_of_turn", vocabulary.end_of_turn)})
    if (id >= size)
      return Fail(Code::kInvalidArgument, "{} is {}, but there are {} tokens", key, id, size);
  return {};
}

Result<> MarkSpecial(const std::vector<std::string>& special, std::vector<Token>& tokens) {
  for (const std::string& text : special) {
    auto token = std::ranges::find(tokens, text, &Token::text);
    if (token == tokens.end())
      return Fail(Code::kInvalidArgument, "special \"{}\" is no token", text);
    token->kind = TokenKind::kControl;
  }
  return {};
}

Result<Vocabulary> ParseVocabulary(const JsonValue& json) {
  INFERQ_ASSIGN(auto texts, Texts(json, "tokens"));
  INFERQ_ASSIGN(auto special, Texts(json, "special"));
  Vocabulary vocabulary;
  for (std::string& text : texts) vocabulary.tokens.push_back({.text = std::move(text)});
  INFERQ_TRY(MarkSpecial(special, vocabulary.tokens));
  INFERQ_ASSIGN(vocabulary.merges, Texts(json, "merges"));
  INFERQ_ASSIGN(uint32_t end_of_text, Number(json, "end_of_text"));
  INFERQ_ASSIGN(uint32_t end_of_turn, Number(json, "end_of_turn"));
  vocabulary.end_of_text = static_cast<int32_t>(end_of_text);
  vocabulary.end_of_turn = static_cast<int32_t>(end_of_turn);
  INFERQ_TRY(CheckVocabulary(vocabulary));
  return vocabulary;
}

Result<ModelSpec> ParseSpec(const JsonValue& json) {
  ModelSpec spec;
  INFERQ_ASSIGN(std::string arch, Text(json, "arch"));
  std::optional<Arch> parsed = ParseArch(arch);
  if (!parsed)
    return Fail(Code::kInvalidArgument, "arch is \"{}\"; it must be llama or glm4", arch);
  spec.arch = *parsed;
  for (auto [key, field] : {std::pair("layers", &spec.layers), std::pair("embd", &spec.embd),
                            std::pair("heads", &spec.heads), std::pair("kv_heads", &spec.kv_heads),
                            std::pair("ff", &spec.ff), std::pair("context", &spec.context)}) {
    INFERQ_ASSIGN(*field, Number(json, key));
  }
  return spec;
}

/// Reads a file and parses it; errors name the file.
template <class Parse>
auto ReadAndParse(const std::string& path, Parse parse)
    -> decltype(parse(std::declval<const std::string&>())) {
  INFERQ_ASSIGN(const std::string text, base::ReadFile(base::PosixFileSystem(), path));
  auto parsed = parse(text);
  if (!parsed) return std::unexpected(std::move(parsed).error().WithContext(path));
  return parsed;
}

}  // namespace

Result<TrainedModel> ParseModelJson(std::string_view text) {
  TrainedModel model;
  INFERQ_ASSIGN(JsonValue json, wire::ParseJson(text));
  INFERQ_ASSIGN(model.name, Text(json, "name"));
  INFERQ_ASSIGN(model.spec, ParseSpec(json));
  INFERQ_ASSIGN(JsonValue vocabulary, Member(json, "vocabulary"));
  INFERQ_ASSIGN(model.vocabulary, ParseVocabulary(vocabulary));
  return model;
}

Result<TrainedModel> ReadTrainedModel(const std::string& directory) {
  INFERQ_ASSIGN(TrainedModel model, ReadAndParse(directory + "/model.json", &ParseModelJson));
  INFERQ_ASSIGN(model.weights, ReadAndParse(directory + "/weights.safetensors", &ParseSafetensors));
  return model;
}

}  // namespace inferq::gguf
