#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engine/engine.h"

namespace inferq::engine {

/// The floor of engines that stand before another one: all but Submit is the other's.
class WrappedEngine : public Engine {
 public:
  Awaitable<base::Result<>> Start() final { return inner_->Start(); }
  Awaitable<void> Stop() final { return inner_->Stop(); }
  Capacity capacity() const final { return inner_->capacity(); }
  std::string Describe() const final { return inner_->Describe(); }

 protected:
  explicit WrappedEngine(std::unique_ptr<Engine> inner) : inner_(std::move(inner)) {}
  Engine& inner() { return *inner_; }

 private:
  std::unique_ptr<Engine> inner_;
};

}  // namespace inferq::engine
