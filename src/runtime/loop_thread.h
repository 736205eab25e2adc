#pragma once

#include <string>
#include <thread>

#include "runtime/asio_runtime.h"

namespace inferq::runtime {

/// An event loop with a thread of its own. What it owns on that loop has ended before it is
/// destroyed, which stops the loop and joins the thread.
class LoopThread {
 public:
  /// @param lanes  whose blocking lanes the loop uses, too.
  /// @param name   of the thread, at most 15 bytes: "io-0".
  LoopThread(AsioRuntime& lanes, const std::string& name);
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  AsioRuntime& runtime() { return runtime_; }

 private:
  AsioRuntime runtime_;
  std::thread thread_;
};

}  // namespace inferq::runtime
