#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "engine/llama/model.h"
#include "engine/llama/protocol.h"

namespace inferq::engine::llama {

/// A request on its way to a slot.
struct Prepared {
  uint64_t id = 0;
  GenerateRequest request;
  base::Result<Prompt> prompt;
};

/// Templates and tokenises requests on a thread of its own, so that the step thread does not wait
/// for it; interactive ones first. Unbounded: the server limits how many requests it sends.
class Preparer {
 public:
  struct Hooks {
    /// Called, on the thread, before a request is touched,
    std::function<void(uint64_t id)> on_start;
    /// and once it has been prepared. Must not call back.
    std::function<void(Prepared)> on_ready;
  };

  /// @param model  outlives it; its context is not touched.
  Preparer(const Model& model, Hooks hooks);
  /// Drops what is left.
  ~Preparer();

  /// Any thread.
  void Submit(Submit submit);
  /// Drops a request that is not ready yet; it will not be. Any thread. @return false: it is ready,
  /// or unknown.
  bool Cancel(uint64_t id);

 private:
  void Run();
  bool Take(llama::Submit& next);
  void Deliver(Prepared prepared);

  const Model& model_;
  const Hooks hooks_;
  base::Mutex mu_;
  base::CondVar changed_;
  std::deque<llama::Submit> interactive_ GUARDED_BY(mu_);
  std::deque<llama::Submit> batch_ GUARDED_BY(mu_);
  uint64_t current_ GUARDED_BY(mu_) = 0;  // being prepared; 0: none, or cancelled meanwhile
  bool stopped_ GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace inferq::engine::llama
