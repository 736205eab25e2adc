#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "wire/chat.h"
#include "wire/json.h"

namespace inferq::wire {

inline constexpr size_t kMaxEmbeddingInputs = 2048;

/// A text, or the token ids of one.
using EmbeddingInput = std::variant<std::string, std::vector<int32_t>>;

/// How an answer spells its vectors.
enum class EmbeddingFormat : uint8_t {
  kFloat,   ///< An array of numbers, the shortest that read back as the same float32.
  kBase64,  ///< The float32 values, little endian, in base64: what OpenAI's clients ask for.
};

/// A request for vectors, checked.
struct EmbeddingRequest {
  std::string model;                   ///< "" when the body has none.
  std::vector<EmbeddingInput> inputs;  ///< 1..kMaxEmbeddingInputs, none empty.
  EmbeddingFormat format = EmbeddingFormat::kFloat;
  std::optional<uint32_t> dimensions;  ///< >= 1; the model sets the other bound.
};

/// Reads a request body for an engine of ours. Unknown and repeated fields are errors.
/// @return kInvalidArgument, param "body.<field>" or "body.input[2]", the message a sentence.
base::Result<EmbeddingRequest> ParseEmbeddingRequest(std::string_view body);

/// Whether the field is accepted without effect.
bool IsIgnoredEmbeddingField(std::string_view name);

/// A guess without a tokenizer, as in locality.h.
uint64_t EstimateInputTokens(const EmbeddingInput& input);

/// A vector as the answer spells it, JSON.
std::string EmbeddingJson(std::span<const float> vector, EmbeddingFormat format);

/// The response JSON, compact. @param vectors  EmbeddingJson of each input, in order.
std::string EmbeddingBody(std::string_view model, std::span<const std::string> vectors,
                          uint64_t prompt_tokens);

/// Reads a response of /v1/embeddings as the others are read: usage and model, and as the text its
/// vector as written, or an array of them where there are several.
/// @return kInvalidArgument: not an object with `data`.
base::Result<Completion> ParseEmbeddingBody(JsonValue body);

/// Reads a response of any endpoint, by what is in it.
base::Result<Completion> ParseAnswerBody(JsonValue body);

}  // namespace inferq::wire
