#pragma once

#include <cstdint>

namespace inferq::base {

/// A seeded source of pseudo-random numbers: the same seed gives the same numbers on every machine
/// (xoshiro256**, Blackman and Vigna 2018, seeded by SplitMix64). Not for secrets. One owner, no
/// locking.
class Rng {
 public:
  using result_type = uint64_t;  // usable with <random> and std::shuffle

  explicit Rng(uint64_t seed);

  uint64_t operator()() { return Next(); }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }

  uint64_t Next();
  /// Uniform in [0, bound), without bias. `bound` > 0.
  uint64_t Below(uint64_t bound);
  /// Uniform in [0, 1).
  double Uniform();
  /// True with probability `p`.
  bool Chance(double p) { return Uniform() < p; }

 private:
  uint64_t state_[4];
};

/// A seed from the operating system, for runs that name none.
uint64_t RandomSeed();

}  // namespace inferq::base
