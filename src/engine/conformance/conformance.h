#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "runtime/asio_runtime.h"

namespace inferq::engine::conformance {

/// One engine under test and what it needs around it (a server, a model file). All on the strand of
/// the runtime it was made with.
class Rig {
 public:
  virtual ~Rig() = default;
  /// Not started. The same one each time.
  virtual Engine& engine() = 0;
  /// A request that takes until it is cancelled, or longer than any test lasts. It begins when a
  /// slot is free.
  virtual Request LongRequest() = 0;
  /// A good request that ends soon, with some text or chunks. `n` makes it differ from others.
  virtual Request ShortRequest(int n) = 0;
  /// A request that the engine (or what stands behind it) refuses as wrong.
  virtual Request BadRequest() = 0;
  /// Frees everything but the engine, which is stopped already.
  virtual runtime::Awaitable<void> TearDown() { co_return; }
};

/// An implementation: its name, and how to make a rig with exactly this many slots.
struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Rig>(runtime::AsioRuntime&, uint32_t slots)> make;
};

/// The behaviour that every Engine has. Link inferq::engine_conformance and write
///
///   INSTANTIATE_TEST_SUITE_P(Fake, EngineConformance, testing::Values(Implementation{"fake",
///   MakeFakeRig}),
///                            ImplementationName);
class EngineConformance : public testing::TestWithParam<Implementation> {
 protected:
  /// Makes a rig, starts its engine, runs `body`, stops everything.
  using Body = runtime::Awaitable<void> (*)(runtime::Runtime&, Rig&);
  void Run(uint32_t slots, Body body);

 private:
  static runtime::Awaitable<void> RunAll(runtime::AsioRuntime& runtime, Rig& rig, Body body);
};

inline std::string ImplementationName(const testing::TestParamInfo<Implementation>& info) {
  return info.param.name;
}

}  // namespace inferq::engine::conformance
