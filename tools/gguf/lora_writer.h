#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace inferq::gguf {

/// A LoRA adapter of random numbers: it changes every answer of its model and means nothing.
struct LoraSpec {
  std::string model;      ///< GGUF file that it is to fit.
  uint64_t seed = 1;      ///< The same seed, rank and model shape give the same bytes.
  uint32_t rank = 4;      ///< [1, 256]
  float strength = 0.7F;  ///< Of the change, beside weights of size 1.
};

/// Writes `path`: a pair of f32 matrices for each matrix of the model's layers. Blocks.
/// kInvalidArgument: no model, or the rank is out of range. Else what the disk says.
base::Result<> WriteLora(const LoraSpec& spec, const std::string& path);

}  // namespace inferq::gguf
