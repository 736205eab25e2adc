#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "gguf/model_writer.h"

namespace inferq::gguf {

/// Reads what a training program wrote into `directory`:
///
/// - weights.safetensors: f32 tensors by their GGUF names, matrices as [rows, columns]. Without
///   output.weight the output is tied to token_embd.weight.
/// - model.json: {"name", "arch": "llama" | "glm4", "layers", "embd", "heads", "kv_heads", "ff",
///   "context", "vocabulary": {"tokens": [...], "special": [...], "merges": ["left right", ...],
///   "end_of_text": id, "end_of_turn": id}}. Texts of tokens are spelled as in a GGUF; `special`
///   lists those that are control tokens.
///
/// @return kInvalidArgument with the file and what is wrong in it; else what the disk says.
base::Result<TrainedModel> ReadTrainedModel(const std::string& directory);

/// model.json alone; the weights are empty.
base::Result<TrainedModel> ParseModelJson(std::string_view text);

}  // namespace inferq::gguf
