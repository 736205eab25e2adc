#include "engine/llama/draw.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace inferq::engine::llama {
namespace {

constexpr size_t kBlock = 64;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Compiled twice: the wider one is taken where the machine has it. Both give the same bits. The
// loader takes it before a sanitizer's runtime is up, which ThreadSanitizer's instrumentation of
// that choice does not survive.
#ifdef __has_feature
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define INFERQ_WIDE
#endif
#endif
#if defined(__x86_64__) && defined(__has_attribute) && !defined(INFERQ_WIDE)
#if __has_attribute(target_clones)
#define INFERQ_WIDE __attribute__((target_clones("avx2", "default")))
#endif
#endif
#ifndef INFERQ_WIDE
#define INFERQ_WIDE
#endif

size_t BlocksOf(size_t size) { return (size + kBlock - 1) / kBlock; }

std::span<const float> BlockAt(std::span<const float> values, size_t block) {
  return values.subspan(block * kBlock, std::min(kBlock, values.size() - block * kBlock));
}

// Several independent values: the compiler makes vector instructions of them.
template <size_t kLanes>
float Greatest(std::span<const float> values) {
  std::array<float, kLanes> best;
  best.fill(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      best[lane] = value > best[lane] ? value : best[lane];
    }
  }
  float greatest = -kInfinity;
  for (float value : best) greatest = value > greatest ? value : greatest;
  for (; i < values.size(); ++i) greatest = values[i] > greatest ? values[i] : greatest;
  return greatest;
}

// e^x for x <= 0, within 3e-7 of the true value; 0 below -87. No branches, for whole arrays.
inline float ExpOfNegative(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x > -87.0F ? x : -87.0F;
  const float shifted = clamped * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;  // |r| <= ln(2) / 2
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float scale = std::bit_cast<float>((exponent + 127) << 23);
  return x >= -87.0F ? p * scale : 0.0F;
}

// weights = e^((logit - greatest) * factor), sums = those of each block. @return that of all.
INFERQ_WIDE double Exponentials(const float* logits, size_t size, float greatest, float factor,
                                float* weights, float* sums) {
  double total = 0;
  for (size_t begin = 0; begin < size; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, size);
    for (size_t i = begin; i < end; ++i) {
      weights[i] = ExpOfNegative((logits[i] - greatest) * factor);
    }
    float lanes[8] = {};
    size_t i = begin;
    for (; i + 8 <= end; i += 8) {
      for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += weights[i + lane];
    }
    for (; i < end; ++i) lanes[0] += weights[i];
    float sum = 0;
    for (float lane : lanes) sum += lane;
    *sums++ = sum;
    total += double{sum};
  }
  return total;
}

// scratch.weights and scratch.blocks for all logits. @return the sum.
double Weigh(std::span<const float> logits, float greatest, float factor, DrawScratch& scratch) {
  scratch.weights.resize(logits.size());
  scratch.blocks.resize(BlocksOf(logits.size()));
  return Exponentials(logits.data(), logits.size(), greatest, factor, scratch.weights.data(),
                      scratch.blocks.data());
}

// scratch.found = the ids of the values >= floor, in order. scratch.blocks bounds the values of
// each block from above.
void FindAtLeast(std::span<const float> values, float floor, DrawScratch& scratch) {
  scratch.found.clear();
  for (size_t block = 0; block < scratch.blocks.size(); ++block) {
    if (scratch.blocks[block] < floor) continue;
    const std::span<const float> in = BlockAt(values, block);
    for (size_t i = 0; i < in.size(); ++i) {
      if (in[i] >= floor) scratch.found.push_back(static_cast<uint32_t>(block * kBlock + i));
    }
  }
}

void GreatestOfBlocks(std::span<const float> values, DrawScratch& scratch) {
  scratch.blocks.resize(BlocksOf(values.size()));
  for (size_t block = 0; block < scratch.blocks.size(); ++block) {
    scratch.blocks[block] = Greatest<8>(BlockAt(values, block));
  }
}

// Greater first, and the lower id among equals.
auto ByValue(std::span<const float> values) {
  return [values](uint32_t a, uint32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
}

// scratch.found = the ids of the k greatest, in any order. Every block holds a value as great as
// its greatest, so the k-th of these bounds the k-th of all from below.
void FindTopK(std::span<const float> logits, size_t k, DrawScratch& scratch) {
  GreatestOfBlocks(logits, scratch);
  float floor = -kInfinity;
  if (k <= scratch.blocks.size()) {
    std::vector<float> greatest(scratch.blocks);
    const auto kth = greatest.begin() + static_cast<ptrdiff_t>(k - 1);
    std::ranges::nth_element(greatest, kth, std::greater());
    floor = *kth;
  }
  FindAtLeast(logits, floor, scratch);
  if (scratch.found.size() <= k) return;
  const auto end = scratch.found.begin() + static_cast<ptrdiff_t>(k);
  std::ranges::nth_element(scratch.found, end, ByValue(logits));
  scratch.found.resize(k);
}

double MassOf(std::span<const uint32_t> ids, std::span<const float> weights) {
  double mass = 0;
  for (uint32_t id : ids) mass += double{weights[id]};
  return mass;
}

// Sorts many tokens coarsely by their logit: first those that certainly belong to the heaviest
// `wanted`, then the doubtful; the others are dropped. @return how many are certain; `wanted` is
// what the doubtful ones have to add.
size_t KeepProbable(std::span<const float> logits, float greatest, double& wanted,
                    DrawScratch& scratch) {
  constexpr size_t kBuckets = 2048;
  const auto bucket = [&](uint32_t id) {
    constexpr float kPerUnit = 32;
    const float place = (greatest - logits[id]) * kPerUnit;
    return place < static_cast<float>(kBuckets) ? static_cast<size_t>(place) : kBuckets - 1;
  };
  std::array<double, kBuckets> mass{};
  for (uint32_t id : scratch.found) mass[bucket(id)] += double{scratch.weights[id]};
  size_t last = 0;
  for (; last + 1 < kBuckets && mass[last] < wanted; ++last) wanted -= mass[last];
  std::erase_if(scratch.found, [&](uint32_t id) { return bucket(id) > last; });
  const auto certain = std::partition(scratch.found.begin(), scratch.found.end(),
                                      [&](uint32_t id) { return bucket(id) < last; });
  return static_cast<size_t>(certain - scratch.found.begin());
}

// Cuts scratch.found to the fewest, most probable ones that weigh `wanted` together: halves the
// doubtful part until it is one token.
void KeepMass(std::span<const float> logits, float greatest, double wanted, DrawScratch& scratch) {
  constexpr size_t kMany = 512;
  // The ones before it are in.
  size_t begin = scratch.found.size() > kMany ? KeepProbable(logits, greatest, wanted, scratch) : 0;
  size_t end = scratch.found.size();
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto at = [&](size_t i) { return scratch.found.begin() + static_cast<ptrdiff_t>(i); };
    std::nth_element(at(begin), at(middle), at(end), ByValue(logits));
    const double mass =
        MassOf(std::span(scratch.found).subspan(begin, middle - begin), scratch.weights);
    if (mass >= wanted) {
      end = middle;
    } else {
      wanted -= mass;
      begin = middle;
    }
  }
  scratch.found.resize(end);
}

// scratch.found = the nucleus of all tokens.
void FindNucleus(std::span<const float> logits, float greatest, double top_p,
                 DrawScratch& scratch) {
  const double wanted = top_p * Weigh(logits, greatest, 1, scratch);
  for (float floor : {1e-2F, 1e-4F, 1e-6F, 0.0F}) {
    FindAtLeast(scratch.weights, floor, scratch);
    if (floor == 0 || MassOf(scratch.found, scratch.weights) >= wanted) break;
  }
  KeepMass(logits, greatest, wanted, scratch);
}

// scratch.found = the nucleus of the tokens in it.
void KeepNucleus(std::span<const float> logits, float greatest, double top_p,
                 DrawScratch& scratch) {
  scratch.weights.resize(logits.size());
  for (uint32_t id : scratch.found) scratch.weights[id] = ExpOfNegative(logits[id] - greatest);
  KeepMass(logits, greatest, top_p * MassOf(scratch.found, scratch.weights), scratch);
}

size_t DrawFromAll(std::span<const float> logits, float greatest, float factor, base::Rng& rng,
                   DrawScratch& scratch) {
  const double total = Weigh(logits, greatest, factor, scratch);
  if (!(total > 0) || !std::isfinite(total)) return ArgMax(logits);
  double left = rng.Uniform() * total;
  for (size_t block = 0; block < scratch.blocks.size(); ++block) {
    if (left >= double{scratch.blocks[block]}) {
      left -= double{scratch.blocks[block]};
      continue;
    }
    const std::span<const float> in = BlockAt(scratch.weights, block);
    size_t last = 0;
    for (size_t i = 0; i < in.size(); ++i) {
      if (in[i] <= 0) continue;
      last = block * kBlock + i;
      left -= double{in[i]};
      if (left < 0) return last;
    }
    return last;
  }
  return ArgMax(logits);  // rounding left a rest behind the last one
}

size_t DrawFromFound(std::span<const float> logits, float greatest, float factor, base::Rng& rng,
                     DrawScratch& scratch) {
  scratch.blocks.resize(scratch.found.size());
  double total = 0;
  for (size_t i = 0; i < scratch.found.size(); ++i) {
    scratch.blocks[i] = ExpOfNegative((logits[scratch.found[i]] - greatest) * factor);
    total += double{scratch.blocks[i]};
  }
  if (!(total > 0) || !std::isfinite(total)) return ArgMax(logits);
  double left = rng.Uniform() * total;
  size_t last = ArgMax(logits);
  for (size_t i = 0; i < scratch.found.size() && left >= 0; ++i) {
    if (scratch.blocks[i] <= 0) continue;
    last = scratch.found[i];
    left -= double{scratch.blocks[i]};
  }
  return last;
}

}  // namespace

size_t Draw(std::span<const float> logits, const DrawRules& rules, base::Rng& rng,
            DrawScratch& scratch) {
  const float greatest = Greatest<32>(logits);
  const auto factor = static_cast<float>(1 / rules.temperature);
  const bool cut = rules.top_k > 0 && rules.top_k < logits.size();
  if (!std::isfinite(greatest)) return ArgMax(logits);
  if (!cut && rules.top_p >= 1 && rules.min_p <= 0) {
    return DrawFromAll(logits, greatest, factor, rng, scratch);
  }
  const float floor =
      rules.min_p > 0 ? greatest + std::log(static_cast<float>(rules.min_p)) : -kInfinity;
  if (cut) {
    FindTopK(logits, rules.top_k, scratch);
    if (rules.top_p < 1) KeepNucleus(logits, greatest, rules.top_p, scratch);
  } else if (rules.top_p < 1) {
    FindNucleus(logits, greatest, rules.top_p, scratch);
  } else {
    GreatestOfBlocks(logits, scratch);
    FindAtLeast(logits, floor, scratch);
  }
  std::erase_if(scratch.found, [&](uint32_t id) { return !(logits[id] >= floor); });
  return DrawFromFound(logits, greatest, factor, rng, scratch);
}

size_t ArgMax(std::span<const float> values) {
  const float greatest = Greatest<32>(values);
  const auto found = std::ranges::find(values, greatest);
  return found == values.end() ? 0 : static_cast<size_t>(found - values.begin());
}

std::vector<uint32_t> TopK(std::span<const float> logits, size_t k, DrawScratch& scratch) {
  if (k == 0 || logits.empty()) return {};
  FindTopK(logits, std::min(k, logits.size()), scratch);
  std::ranges::sort(scratch.found, ByValue(logits));
  return scratch.found;
}

double LogSumExp(std::span<const float> logits, DrawScratch& scratch) {
  const float greatest = Greatest<32>(logits);
  if (!std::isfinite(greatest)) return double{greatest};
  return double{greatest} + std::log(Weigh(logits, greatest, 1, scratch));
}

}  // namespace inferq::engine::llama
