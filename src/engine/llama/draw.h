#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/rng.h"

// Arithmetic over the logits of one token: the greatest, the most probable few, sums of
// probabilities, and draws. Pure, and written for vocabularies of 150,000 tokens: whole passes are
// plain loops that become vector instructions, and what is rare (a token probable enough to be
// looked at) is found by its block.
namespace inferq::engine::llama {

/// Room for a draw; one for each thread, used again and again.
struct DrawScratch {
  std::vector<float> weights;   // e^(logit - greatest), [vocabulary]
  std::vector<float> blocks;    // of each block of logits or weights the greatest or the sum
  std::vector<uint32_t> found;  // token ids
  std::vector<float> edited;    // logits with penalties, [vocabulary]; the sampler's
};

/// Which tokens may be drawn, and how. All filters look at the probabilities before the temperature
/// and apply in this order, as in llama.cpp: top_k, top_p (of what top_k left), min_p.
struct DrawRules {
  uint32_t top_k = 0;      ///< The k most probable; 0: all.
  double top_p = 1;        ///< The fewest that have this much together; >= 1: all.
  double min_p = 0;        ///< At least this part of the greatest probability; 0: all.
  double temperature = 1;  ///< > 0
};

/// Draws a token with its probability among those that the rules leave. Logits of -infinity are
/// never drawn unless there are no others; odd input (NaN, +infinity) gives ArgMax.
size_t Draw(std::span<const float> logits, const DrawRules& rules, base::Rng& rng,
            DrawScratch& scratch);

/// The index of the greatest value, the lowest among equals; 0 when all are NaN or there is none.
size_t ArgMax(std::span<const float> values);

/// The k greatest, greatest first, lower ids first among equals.
std::vector<uint32_t> TopK(std::span<const float> logits, size_t k, DrawScratch& scratch);

/// log(sum(e^logit)): what is to be taken from a logit to get the logarithm of its probability.
double LogSumExp(std::span<const float> logits, DrawScratch& scratch);

}  // namespace inferq::engine::llama
