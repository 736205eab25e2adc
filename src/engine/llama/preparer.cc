#include "engine/llama/preparer.h"

#include <pthread.h>

#include <utility>

namespace inferq::engine::llama {

Preparer::Preparer(const Model& model, Hooks hooks)
    : model_(model), hooks_(std::move(hooks)), thread_([this] { Run(); }) {}

Preparer::~Preparer() {
  {
    base::MutexLock lock(mu_);
    stopped_ = true;
  }
  changed_.NotifyOne();
  thread_.join();
}

void Preparer::Submit(llama::Submit submit) {
  {
    base::MutexLock lock(mu_);
    (submit.request.interactive ? interactive_ : batch_).push_back(std::move(submit));
  }
  changed_.NotifyOne();
}

bool Preparer::Cancel(uint64_t id) {
  base::MutexLock lock(mu_);
  if (current_ == id) {
    current_ = 0;
    return true;
  }
  for (auto* line : {&interactive_, &batch_}) {
    if (std::erase_if(*line, [id](const llama::Submit& s) { return s.id == id; }) > 0) return true;
  }
  return false;
}

// Waits for the next one. @return false: there will be none.
bool Preparer::Take(llama::Submit& next) {
  base::MutexLock lock(mu_);
  while (!stopped_ && interactive_.empty() && batch_.empty()) changed_.Wait(mu_);
  if (stopped_) return false;
  auto& line = interactive_.empty() ? batch_ : interactive_;
  next = std::move(line.front());
  line.pop_front();
  current_ = next.id;
  return true;
}

// Under the lock, so that a cancel comes either before or after it.
void Preparer::Deliver(Prepared prepared) {
  base::MutexLock lock(mu_);
  if (std::exchange(current_, 0) == prepared.id) hooks_.on_ready(std::move(prepared));
}

void Preparer::Run() {
  pthread_setname_np(pthread_self(), "prepare");
  for (llama::Submit next; Take(next);) {
    hooks_.on_start(next.id);
    auto prompt = model_.Prepare(next.request);
    Deliver({next.id, std::move(next.request), std::move(prompt)});
  }
}

}  // namespace inferq::engine::llama
