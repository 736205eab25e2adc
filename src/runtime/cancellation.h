#pragma once

#include <functional>
#include <list>
#include <memory>
#include <utility>

namespace inferq::runtime {

/// A switch that ends an operation under way. Whoever started the operation keeps one end and calls
/// Cancel; the operation registers what that has to do (close a socket, wake a wait). All calls on
/// one strand. A null pointer to one means: cannot be cancelled.
class Cancellation {
 public:
  using Function = std::move_only_function<void()>;

  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  bool cancelled() const { return cancelled_; }

  /// Runs what is registered, once. Idempotent.
  void Cancel() {
    if (std::exchange(cancelled_, true)) return;
    for (auto& hook : std::exchange(hooks_, {})) {
      if (auto fn = std::exchange(*hook, {})) fn();
    }
  }

 private:
  friend class CancelHook;
  bool cancelled_ = false;
  std::list<std::shared_ptr<Function>> hooks_;
};

/// Runs `fn` at Cancel, at once when that came already; never after its own destruction.
class CancelHook {
 public:
  CancelHook(std::shared_ptr<Cancellation> cancellation, Cancellation::Function fn)
      : cancellation_(std::move(cancellation)) {
    if (!cancellation_) return;
    if (cancellation_->cancelled_) {
      fn();
      return;
    }
    hook_ = std::make_shared<Cancellation::Function>(std::move(fn));
    cancellation_->hooks_.push_back(hook_);
  }
  ~CancelHook() {
    if (!hook_) return;
    *hook_ = {};
    cancellation_->hooks_.remove(hook_);
  }
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;

 private:
  std::shared_ptr<Cancellation> cancellation_;
  std::shared_ptr<Cancellation::Function> hook_;
};

}  // namespace inferq::runtime
