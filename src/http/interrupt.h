#pragma once

#include <memory>

#include "runtime/cancellation.h"
#include "runtime/runtime.h"

namespace inferq::http {

/// Ends a wait from outside: runs `stop` once, when the armed moment passes or the cancellation
/// comes, and remembers which. Re-arming is cheap: a later moment costs no new timer. On the
/// strand.
class Interrupt {
 public:
  enum class Cause : uint8_t { kNone, kTime, kCancelled };

  Interrupt(runtime::Runtime& runtime, std::shared_ptr<runtime::Cancellation> cancellation,
            runtime::Cancellation::Function stop);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Replaces the moment; max(): only the cancellation counts.
  void Arm(base::SteadyTime when);
  Cause cause() const { return cause_; }

 private:
  void Fire(Cause cause);
  void OnTimer();

  runtime::Runtime& runtime_;
  runtime::Cancellation::Function stop_;
  base::SteadyTime when_ = base::SteadyTime::max();
  base::SteadyTime timer_at_ = base::SteadyTime::max();
  runtime::Runtime::TimerId timer_ = 0;
  Cause cause_ = Cause::kNone;
  runtime::CancelHook hook_;  // last: may fire while we are made
};

}  // namespace inferq::http
