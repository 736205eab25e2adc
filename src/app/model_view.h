#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/llama/model_facts.h"

namespace inferq::app {

/// What decides how many sequences fit.
struct Room {
  uint64_t available_bytes = 0;
  uint32_t threads = 1;
  uint64_t context_tokens = 0;  ///< Asked for; 0: what an engine would choose.
};

/// How a model and a machine go together.
struct Fit {
  uint64_t context_tokens = 0;
  uint64_t sequence_bytes = 0;  ///< Of the cache of one whole context; 0: unknown, or none.
  uint64_t sequences = 0;       ///< That fit beside the weights.
  uint32_t slots = 0;           ///< That an engine chooses by itself.
};
Fit FitOf(const engine::llama::ModelFacts& facts, const Room& room);

/// Several lines for a person.
std::string ModelText(const std::string& path, const engine::llama::ModelFacts& facts,
                      const Room& room);
/// One JSON object, on one line without its end; docs/models.md explains the keys.
/// @param with_template  the whole chat template, too.
std::string ModelJson(const std::string& path, const engine::llama::ModelFacts& facts,
                      const Room& room, bool with_template);

/// "glm4, 9.4 B parameters, Q4_K - Medium, 131,072 tokens of context"
std::string ModelLine(const engine::llama::ModelFacts& facts);

/// "9.4 B", "150.3 M", "941"
std::string ParameterCount(uint64_t n);

}  // namespace inferq::app
