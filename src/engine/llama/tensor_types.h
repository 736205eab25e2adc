#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace inferq::engine::llama {

/// How a tensor's numbers are packed: `block` numbers take `bytes`.
struct TensorType {
  uint32_t id = 0;  ///< In a GGUF.
  std::string_view name;
  uint32_t block = 1;
  uint32_t bytes = 0;
};

/// nullopt: not a type of the llama.cpp that this was written for.
std::optional<TensorType> FindTensorType(uint32_t id);

}  // namespace inferq::engine::llama
