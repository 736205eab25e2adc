#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/rng.h"
#include "engine/slotted_engine.h"

namespace inferq::engine {

/// What the fake engine costs, and how often it fails. Rates in [0, 1].
struct FakeOptions {
  base::Micros ttft{20'000};  ///< Time to first token, from the moment a request has a slot; >= 0.
  base::Micros itl{2'000};    ///< Time between two tokens; >= 0.
  double ttft_jitter = 0;     ///< The time to first token is drawn from ttft · [1, 1 + this]. >= 0.
  uint32_t slots = 8;         ///< >= 1.
  uint64_t tokens = 0;  ///< Of each answer, capped by max_tokens; 0: drawn from the body, 8 to 64.
  uint64_t context_tokens = 0;  ///< Longest prompt plus output; 0: without limit.
  size_t max_waiting = 1u << 20;
  double fail_rate = 0;   ///< Attempts that fail with kUnavailable before the first token.
  double crash_rate = 0;  ///< Attempts that fail with kAborted in the middle.
  uint64_t seed = 1;      ///< Of texts, lengths and dice.
};

/// An engine without a model: made-up text with the timing and the failures of a real one. Text,
/// length and usage depend on the seed and the body alone, so a repeated attempt gives the same
/// answer, as do vectors (of 64 dimensions) on the seed and the input; failures are drawn per
/// attempt. Time passes through the Runtime only, so it runs under a virtual clock.
class FakeEngine final : public SlottedEngine {
 public:
  /// What to do with one attempt, for tests and simulation.
  struct Fault {
    uint64_t after_tokens = 0;  ///< Emitted before it strikes.
    std::optional<base::Error>
        error;  ///< nullopt: the request hangs until it is cancelled or expires.
  };
  using FaultHook = std::function<std::optional<Fault>(const Request&)>;

  FakeEngine(runtime::Runtime& runtime, FakeOptions options);

  std::string Describe() const override { return "fake"; }

  /// Asked at the begin of every attempt, before the rates.
  void set_fault_hook(FaultHook hook) { fault_hook_ = std::move(hook); }
  /// The engine dies now: what runs fails with kAborted, what waits stays and begins after
  /// `restart`.
  void Crash(base::Micros restart);
  /// Not ready, and nothing begins, until called with true.
  void SetAvailable(bool available);

 protected:
  Awaitable<base::Result<>> Open() override { co_return base::Result<>{}; }
  base::Result<> Prepare(Request& request) override;
  Awaitable<void> RunJob(std::shared_ptr<Job> job) override;
  bool MayBegin() const override { return available_ && restarts_ == 0; }
  uint64_t context_tokens() const override { return options_.context_tokens; }

 private:
  struct Plan;
  Plan MakePlan(const Request& request) const;
  base::Result<> PrepareEmbedding(const Request& request) const;
  Delta Embed(const Request& request) const;
  std::optional<Fault> DrawFault(const Request& request, const Plan& plan);
  Awaitable<void> Restart(base::Micros after);

  FakeOptions options_;
  base::Rng dice_;
  FaultHook fault_hook_;
  bool available_ = true;
  int restarts_ = 0;  // under way
};

/// kInvalidArgument: an option out of its range.
base::Result<std::unique_ptr<FakeEngine>> MakeFakeEngine(runtime::Runtime& runtime,
                                                         FakeOptions options);

}  // namespace inferq::engine
