#pragma once

#include <functional>
#include <initializer_list>
#include <memory>

#include "runtime/asio_runtime.h"

namespace inferq::runtime {

/// Calls `on_signal(number)` on the strand each time one of the signals arrives, until destroyed.
class SignalWatcher {
 public:
  SignalWatcher(AsioRuntime& runtime, std::initializer_list<int> signals,
                std::function<void(int)> on_signal);
  ~SignalWatcher();

 private:
  struct State;
  static void Wait(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace inferq::runtime
