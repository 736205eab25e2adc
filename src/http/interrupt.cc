#include "http/interrupt.h"

namespace inferq::http {

using base::SteadyTime;

Interrupt::Interrupt(runtime::Runtime& runtime, std::shared_ptr<runtime::Cancellation> cancellation,
                     runtime::Cancellation::Function stop)
    : runtime_(runtime),
      stop_(std::move(stop)),
      hook_(std::move(cancellation), [this] { Fire(Cause::kCancelled); }) {}

Interrupt::~Interrupt() {
  if (timer_ != 0) runtime_.CancelTimer(timer_);
}

void Interrupt::Arm(SteadyTime when) {
  when_ = when;
  if (cause_ != Cause::kNone || when == SteadyTime::max()) return;
  if (timer_ != 0 && timer_at_ <= when) return;  // looks again when it fires
  if (timer_ != 0) runtime_.CancelTimer(timer_);
  timer_at_ = when;
  timer_ = runtime_.CallAt(when, [this] { OnTimer(); });
}

void Interrupt::OnTimer() {
  timer_ = 0;
  if (when_ <= runtime_.clock().Steady()) {
    Fire(Cause::kTime);
  } else {
    Arm(when_);
  }
}

void Interrupt::Fire(Cause cause) {
  if (cause_ != Cause::kNone) return;
  cause_ = cause;
  if (auto stop = std::exchange(stop_, {})) stop();
}

}  // namespace inferq::http
