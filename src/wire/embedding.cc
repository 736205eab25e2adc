#include "wire/embedding.h"

#include <algorithm>
#include <array>
#include <bit>

#include "wire/body_reader.h"
#include "wire/locality.h"
#include "wire/responses.h"

namespace inferq::wire {

using base::Code;
using base::Fail;
using base::Result;
using body::Bad;

namespace {

Result<> ReadModel(std::string_view field, JsonValue value, EmbeddingRequest& request) {
  auto text = value.AsString();
  if (!text) return Bad(field, "must be a string, got {}.", JsonTypeName(value.type()));
  request.model = *std::move(text);
  return {};
}

Result<EmbeddingInput> ReadText(std::string_view field, JsonValue value) {
  auto text = value.AsString();
  if (!text) {
    return Bad(field, "must be a string or an array of token ids, got {}.",
               JsonTypeName(value.type()));
  }
  if (text->empty()) return Bad(field, "must not be empty.");
  return *std::move(text);
}

Result<EmbeddingInput> ReadTokens(std::string_view field, JsonValue value) {
  std::vector<int32_t> tokens;
  for (JsonElements e(value); e.Next();) {
    auto id = e.value().AsInteger();
    if (!id || *id < 0 || *id > INT32_MAX) {
      return Bad(field, "must hold token ids only, integers from 0.");
    }
    tokens.push_back(static_cast<int32_t>(*id));
  }
  if (tokens.empty()) return Bad(field, "must not be empty.");
  return tokens;
}

Result<> ReadInputs(std::string_view field, JsonValue value, EmbeddingRequest& request) {
  if (value.type() != JsonType::kArray) {
    INFERQ_ASSIGN(EmbeddingInput text, ReadText(field, value));
    request.inputs.push_back(std::move(text));
    return {};
  }
  JsonElements e(value);
  if (!e.Next()) return Bad(field, "must not be empty.");
  if (e.value().type() == JsonType::kNumber) {  // one input, as its token ids
    INFERQ_ASSIGN(EmbeddingInput tokens, ReadTokens(field, value));
    request.inputs.push_back(std::move(tokens));
    return {};
  }
  do {
    if (request.inputs.size() == kMaxEmbeddingInputs) {
      return Bad(field, "has more than {} inputs.", kMaxEmbeddingInputs);
    }
    std::string place = fmt::format("{}[{}]", field, request.inputs.size());
    bool ids = e.value().type() == JsonType::kArray;
    INFERQ_ASSIGN(EmbeddingInput input,
                  ids ? ReadTokens(place, e.value()) : ReadText(place, e.value()));
    request.inputs.push_back(std::move(input));
  } while (e.Next());
  return {};
}

Result<> ReadFormat(std::string_view field, JsonValue value, EmbeddingRequest& request) {
  auto name = value.AsString();
  if (name != "float" && name != "base64") {
    return Bad(field, "must be 'float' or 'base64'.");
  }
  request.format = name == "base64" ? EmbeddingFormat::kBase64 : EmbeddingFormat::kFloat;
  return {};
}

Result<> ReadDimensions(std::string_view field, JsonValue value, EmbeddingRequest& request) {
  auto number = value.AsInteger();
  if (!number || *number < 1 || *number > INT32_MAX) {
    return Bad(field, "must be an integer from 1.");
  }
  request.dimensions = static_cast<uint32_t>(*number);
  return {};
}

using Read = Result<> (*)(std::string_view field, JsonValue value, EmbeddingRequest& request);

/// The one table of request fields; without a reader they are accepted without effect.
struct Field {
  std::string_view name;
  Read read;
};
constexpr std::array kFields = {
    Field{"model", ReadModel},
    Field{"input", ReadInputs},
    Field{"encoding_format", ReadFormat},
    Field{"dimensions", ReadDimensions},
    Field{"user", nullptr},
};

const Field* FindField(std::string_view name) {
  auto found = std::ranges::find(kFields, name, &Field::name);
  return found == kFields.end() ? nullptr : &*found;
}

void AppendBase64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) {
      out.push_back(k <= count ? kDigits[bits >> (18 - 6 * k) & 63] : '=');
    }
  }
}

uint64_t CountOf(const std::optional<JsonValue>& object, std::string_view key) {
  auto count = object ? object->Find(key) : std::nullopt;
  auto value = count ? count->AsInteger() : std::nullopt;
  return value && *value > 0 ? static_cast<uint64_t>(*value) : 0;
}

}  // namespace

Result<EmbeddingRequest> ParseEmbeddingRequest(std::string_view body) {
  INFERQ_ASSIGN(JsonValue parsed, body::ParseObject(body));
  EmbeddingRequest request;
  for (JsonMembers member(parsed); member.Next();) {
    std::string name = member.key();
    const Field* field = FindField(name);
    if (field == nullptr) return Bad(name, "is not known here; remove it.");
    if (field->read == nullptr || member.value().is_null()) continue;
    INFERQ_TRY(field->read(name, member.value(), request));
  }
  if (request.inputs.empty()) return Bad("input", "is missing.");
  return request;
}

bool IsIgnoredEmbeddingField(std::string_view name) {
  const Field* field = FindField(name);
  return field != nullptr && field->read == nullptr;
}

uint64_t EstimateInputTokens(const EmbeddingInput& input) {
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&input)) return tokens->size();
  return std::max<uint64_t>(1, EstimateTextTokens(std::get<std::string>(input)));
}

std::string EmbeddingJson(std::span<const float> vector, EmbeddingFormat format) {
  static_assert(std::endian::native == std::endian::little);
  std::string out;
  if (format == EmbeddingFormat::kBase64) {
    out.reserve(vector.size_bytes() / 3 * 4 + 8);
    out.push_back('"');
    AppendBase64(out, {reinterpret_cast<const char*>(vector.data()), vector.size_bytes()});
    out.push_back('"');
    return out;
  }
  constexpr size_t kUsualDigits = 14;
  out.reserve(vector.size() * kUsualDigits);
  char separator = '[';
  for (float value : vector) {
    out.push_back(separator);
    fmt::format_to(std::back_inserter(out), "{}", value);
    separator = ',';
  }
  out += vector.empty() ? "[]" : "]";
  return out;
}

std::string EmbeddingBody(std::string_view model, std::span<const std::string> vectors,
                          uint64_t prompt_tokens) {
  std::string out = R"({"object":"list","data":[)";
  size_t size = 0;
  for (const std::string& vector : vectors) size += vector.size();
  out.reserve(out.size() + size + vectors.size() * 60 + 200);
  for (size_t i = 0; i < vectors.size(); ++i) {
    if (i > 0) out.push_back(',');
    fmt::format_to(std::back_inserter(out), R"({{"object":"embedding","index":{},"embedding":)", i);
    out.append(vectors[i]).push_back('}');
  }
  out += R"(],"model":)";
  AppendJsonString(out, model);
  fmt::format_to(std::back_inserter(out),
                 R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})", prompt_tokens);
  return out;
}

Result<Completion> ParseEmbeddingBody(JsonValue body) {
  auto data = body.Find("data");
  if (!data || data->type() != JsonType::kArray) {
    return Fail(Code::kInvalidArgument, "The response has no data.");
  }
  Completion completion;
  std::string vectors;
  size_t count = 0;
  for (JsonElements e(*data); e.Next(); ++count) {
    auto vector = e.value().Find("embedding");
    if (!vector) return Fail(Code::kInvalidArgument, "The response has an item of no embedding.");
    if (count > 0) vectors.push_back(',');
    vectors += vector->text();
  }
  completion.text = count == 1 ? std::move(vectors) : "[" + vectors + "]";
  completion.finish_reason = "stop";
  auto model = body.Find("model");
  completion.model = model ? model->AsString().value_or("") : "";
  completion.usage.prompt_tokens = CountOf(body.Find("usage"), "prompt_tokens");
  return completion;
}

Result<Completion> ParseAnswerBody(JsonValue body) {
  if (body.Find("choices")) return ParseCompletionBody(body);
  if (body.Find("output")) return ParseResponseBody(body);
  return body.Find("data") ? ParseEmbeddingBody(body) : ParseCompletionBody(body);
}

}  // namespace inferq::wire
