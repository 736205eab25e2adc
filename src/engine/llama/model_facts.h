#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/llama/gguf_file.h"

namespace inferq::engine::llama {

/// Tensors of one type.
struct TypeShare {
  std::string type;  ///< "q4_K"; "type 99" for one we do not know.
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

/// What a file says about its model, in our words. 0, "" and nullopt: it does not say.
struct ModelFacts {
  std::string architecture;
  std::string name;
  std::string kind;  ///< "model", "adapter".
  uint32_t version = 0;
  size_t parts = 1;
  uint64_t file_bytes = 0;       ///< Of all parts.
  std::string file_type;         ///< "Q4_K - Medium", as whoever made the file calls it.
  std::vector<TypeShare> types;  ///< Most bytes first.
  uint64_t tensors = 0;
  uint64_t tensor_bytes = 0;
  uint64_t parameters = 0;

  uint64_t layers = 0;
  uint64_t width = 0;
  uint64_t feed_forward = 0;
  uint64_t heads = 0;         ///< Of the layer with the most.
  uint64_t kv_heads = 0;      ///< Of the layer with the most.
  uint64_t key_length = 0;    ///< Of one head.
  uint64_t value_length = 0;  ///< Of one head.
  uint64_t experts = 0;
  uint64_t experts_used = 0;
  uint64_t trained_context = 0;
  uint64_t sliding_window = 0;
  std::string pooling;  ///< "mean", "cls", …: an embedding model.

  std::optional<uint64_t> rope_dimensions;
  std::optional<double> rope_base;
  std::string rope_scaling;  ///< "yarn", "linear".
  std::optional<double> rope_factor;
  std::optional<uint64_t> rope_original_context;

  uint64_t vocabulary = 0;
  std::string tokenizer;      ///< "gpt2" and the like.
  std::string pre_tokenizer;  ///< "glm4" and the like.
  std::optional<std::string> chat_template;

  /// Keys and values of one token in f16, an upper bound: sliding windows and compressed caches
  /// take less. 0: keeps none, or the file does not say enough.
  uint64_t kv_bytes_per_token = 0;
};

ModelFacts FactsOf(const GgufFile& file);

}  // namespace inferq::engine::llama
