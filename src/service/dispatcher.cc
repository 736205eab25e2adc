#include "service/dispatcher.h"

#include <algorithm>
#include <vector>

namespace inferq::service {
namespace {

using namespace std::chrono_literals;

// Bounds how late the loop notices a change that nobody announces (an engine that is ready again, a
// drain while a claim waits).
constexpr base::Micros kPollInterval = 100ms;

bool MayRetry(const base::Error& error, const queue::ClaimedTask& task) {
  return base::IsRetryable(error.code()) && task.attempt < task.spec.max_attempts;
}

}  // namespace

DispatchCounters& DispatchCounters::operator+=(const DispatchCounters& other) {
  started += other.started;
  completed += other.completed;
  prompt_tokens += other.prompt_tokens;
  completion_tokens += other.completion_tokens;
  retries += other.retries;
  micro_batches += other.micro_batches;
  micro_batched += other.micro_batched;
  pauses += other.pauses;
  return *this;
}

Awaitable<base::Result<engine::Delta>> TaskHandler::Collect(queue::ClaimedTask,
                                                            engine::Generation& generation) {
  return engine::Collect(generation);
}

Dispatcher::Dispatcher(runtime::Runtime& runtime, queue::Queue& queue, engine::Engine& engine,
                       TaskHandler& handler, DispatcherOptions options)
    : runtime_(runtime),
      queue_(queue),
      engine_(engine),
      handler_(handler),
      options_(std::move(options)),
      any_{.size = options_.concurrency - options_.reserved},
      kept_{.size = options_.reserved, .interactive_only = true},
      tasks_(runtime),
      changed_(runtime) {}

Awaitable<base::Result<>> Dispatcher::Run() {
  runtime::Scope helpers(runtime_);
  helpers.Spawn(RenewLoop());
  helpers.Spawn(CutAtDeadline());
  runtime::Scope loops(runtime_);
  loops.Spawn(ClaimLoop(any_));
  if (kept_.size > 0) loops.Spawn(ClaimLoop(kept_));
  co_await loops.Join();
  co_await tasks_.Join();
  finished_ = true;
  changed_.NotifyAll();
  co_await helpers.Join();
  if (fatal_) co_return std::unexpected(*fatal_);
  co_return base::Result<>{};
}

DispatchCounters Dispatcher::counters() const {
  DispatchCounters counters = counters_;
  const engine::Capacity engine = engine_.capacity();
  counters.micro_batches = engine.micro_batches;
  counters.micro_batched = engine.micro_batched;
  counters.pauses = engine.pauses;
  return counters;
}

void Dispatcher::Drain(base::SteadyTime deadline) {
  draining_ = true;
  cut_at_ = std::min(cut_at_, deadline);
  changed_.NotifyAll();
}

Awaitable<void> Dispatcher::ClaimLoop(Slots& slots) {
  while (!stopping()) {
    if (!co_await WaitForRoom(slots)) continue;
    queue::ClaimRequest request{.worker = options_.worker,
                                .lanes = {options_.lane},
                                .max_tasks = RoomFor(slots),
                                .lease = options_.lease,
                                .wait_until = runtime_.clock().Steady() + kPollInterval,
                                .interactive_only = slots.interactive_only};
    auto claimed = co_await queue_.Claim(std::move(request));
    if (!claimed) co_return Fatal(claimed.error());
    for (queue::ClaimedTask& task : *claimed) {
      // What a claim under way brought in after Drain would not be cut by it any more.
      co_await (stopping() ? Release(task) : RunTask(task, slots));
    }
  }
}

// @return true when a task may be claimed now; else waits a little.
Awaitable<bool> Dispatcher::WaitForRoom(const Slots& slots) {
  CheckEngine();
  bool room = RoomFor(slots) > 0 && alone_ == 0;
  if (room && engine_.capacity().ready && !stopping()) co_return true;
  co_await changed_.WaitUntil(runtime_.clock().Steady() + kPollInterval);
  co_return false;
}

// An engine that chooses what goes next among those it knows is given more than it can run.
uint32_t Dispatcher::RoomFor(const Slots& slots) const {
  uint32_t size = slots.size + (slots.interactive_only ? 0 : engine_.capacity().ahead);
  return size - std::min(size, slots.taken);
}

void Dispatcher::CheckEngine() {
  base::SteadyTime now = runtime_.clock().Steady();
  if (engine_.capacity().ready) {
    not_ready_since_.reset();
    return;
  }
  if (!not_ready_since_) not_ready_since_ = now;
  if (now - *not_ready_since_ < options_.give_up_after) return;
  base::Error unknown(base::Code::kUnavailable, "the engine does not become ready");
  EngineFatal(last_engine_error_.value_or(unknown));
}

// Starts a task beside the others; a suspect waits until nothing else runs.
Awaitable<void> Dispatcher::RunTask(queue::ClaimedTask task, Slots& slots) {
  auto running = std::make_shared<Running>();
  running->ref = {task.id, task.fence};
  running->since = runtime_.clock().Steady();
  running_[task.id] = running;  // renewed from now on
  ++slots.taken;
  if (task.alone) ++alone_;
  while (task.alone ? executing_ > 0 : alone_ > 0) {
    co_await changed_.WaitUntil(runtime_.clock().Steady() + kPollInterval);
  }
  ++executing_;
  tasks_.Spawn(Execute(std::move(task), std::move(running), slots));
}

Awaitable<void> Dispatcher::Execute(queue::ClaimedTask task, std::shared_ptr<Running> running,
                                    Slots& slots) {
  running->attempt.result = co_await RunAttempt(task, running);
  running->attempt.took = runtime_.clock().Steady() - running->since;
  running_.erase(task.id);
  --slots.taken;
  --executing_;
  if (task.alone) --alone_;
  changed_.NotifyAll();
  co_await handler_.Settled(std::move(task), running->attempt);
}

Awaitable<Attempt::Result> Dispatcher::RunAttempt(queue::ClaimedTask task,
                                                  std::shared_ptr<Running> running) {
  auto answer = co_await Generate(task, running);
  // Someone else owns the task, or it is cancelled: nothing to record.
  if (running->lost) co_return Attempt::Result::kLost;
  if (answer) {
    running->attempt.usage = answer->usage;
    co_await Finish(std::move(task), std::move(running->work), *std::move(answer));
    co_return Attempt::Result::kSucceeded;
  }
  if (IsEngineTrouble(answer.error()) || WasCut(answer.error())) {
    co_await Release(std::move(task));
    co_return Attempt::Result::kReleased;
  }
  co_await Refuse(std::move(task), answer.error());
  co_return Attempt::Result::kFailed;
}

Awaitable<base::Result<engine::Delta>> Dispatcher::Generate(queue::ClaimedTask task,
                                                            std::shared_ptr<Running> running) {
  INFERQ_CO_ASSIGN(running->work, co_await handler_.Load(task));
  std::vector<queue::TaskRef> refs{running->ref};
  auto started = co_await queue_.Start(std::move(refs));
  if (!started.front()) {
    running->lost = true;
    co_return std::unexpected(started.front().error());
  }
  ++counters_.started;
  if (running->hand_back) co_return base::Fail(base::Code::kCancelled, "draining");
  std::string body = std::exchange(running->work.request.body, {});  // may be large: not copied
  engine::Request request = running->work.request;
  request.body = std::move(body);
  INFERQ_CO_ASSIGN(running->generation, engine_.Submit(std::move(request)));
  auto answer = co_await handler_.Collect(task, *running->generation);
  if (answer && answer->finish_reason == engine::FinishReason::kCancelled) {
    co_return base::Fail(base::Code::kCancelled, "cancelled");
  }
  co_return answer;
}

Awaitable<void> Dispatcher::Finish(queue::ClaimedTask task, Work work, engine::Delta answer) {
  ++counters_.completed;
  counters_.prompt_tokens += answer.usage.prompt_tokens;
  counters_.completion_tokens += answer.usage.completion_tokens;
  model::TokenCount cost = answer.usage.prompt_tokens + answer.usage.completion_tokens;
  auto extent = co_await handler_.StoreAnswer(task, std::move(work), std::move(answer));
  if (!extent) co_return Fatal(extent.error());
  std::vector<queue::Completion> completions{
      {.task = {task.id, task.fence}, .result = *extent, .cost = cost}};
  auto done = co_await queue_.Complete(std::move(completions));
  Record(done.front());
}

// True when the failure is the engine's and says nothing about the task; the engine is judged by
// it.
bool Dispatcher::IsEngineTrouble(const base::Error& error) {
  using base::Code;
  // Broken for good, or a key that is not taken: the same for every task that would follow.
  if (error.code() == Code::kFailedPrecondition || error.code() == Code::kUnauthenticated) {
    EngineFatal(error);
    return true;
  }
  bool away = error.code() == Code::kUnavailable || error.code() == Code::kResourceExhausted;
  if (!away || engine_.capacity().ready) return false;
  last_engine_error_ = error;
  return true;
}

// True when the task may have failed only because we stop.
bool Dispatcher::WasCut(const base::Error& error) const {
  return stopping() && (error.code() == base::Code::kCancelled || base::IsRetryable(error.code()));
}

// Ends or retries a task that the engine did not answer.
Awaitable<void> Dispatcher::Refuse(queue::ClaimedTask task, base::Error error) {
  bool crashed = error.code() == base::Code::kAborted;
  queue::Failure failure{.task = {task.id, task.fence},
                         .error = error,
                         .retryable = base::IsRetryable(error.code()),
                         .crashed = crashed,
                         .result = {}};
  if (!MayRetry(error, task) || crashed) {
    auto extent = co_await handler_.StoreError(task, error);
    if (!extent) co_return Fatal(extent.error());
    failure.result = *extent;
  } else {
    ++counters_.retries;
  }
  std::vector<queue::Failure> failures;
  failures.push_back(std::move(failure));
  auto done = co_await queue_.Fail(std::move(failures));
  Record(done.front());
}

Awaitable<void> Dispatcher::Release(queue::ClaimedTask task) {
  std::vector<queue::TaskRef> refs{{task.id, task.fence}};
  auto released = co_await queue_.Release(std::move(refs));
  Record(released.front());
}

Awaitable<void> Dispatcher::RenewLoop() {
  while (!finished_) {
    base::SteadyTime next = runtime_.clock().Steady() + options_.renew_every;
    while (!finished_ && runtime_.clock().Steady() < next) co_await changed_.WaitUntil(next);
    std::vector<queue::Renewal> renewals;
    for (auto& [id, running] : running_) {
      renewals.push_back({.task = running->ref, .lease = options_.lease, .checkpoint = {}});
    }
    if (renewals.empty()) continue;
    std::vector<queue::TaskRef> asked;
    for (const auto& renewal : renewals) asked.push_back(renewal.task);
    auto replies = co_await queue_.Renew(std::move(renewals));
    for (size_t i = 0; i < replies.size(); ++i) {
      auto found = running_.find(asked[i].id);
      if (found == running_.end() || replies[i] == queue::RenewalReply::kHeld) continue;
      if (found->second->ref.fence != asked[i].fence) continue;
      found->second->lost = true;
      if (found->second->generation) found->second->generation->Cancel();
    }
  }
}

Awaitable<void> Dispatcher::CutAtDeadline() {
  while (!finished_ && runtime_.clock().Steady() < cut_at_) co_await changed_.WaitUntil(cut_at_);
  for (auto& [id, running] : running_) {
    running->hand_back = true;
    if (running->generation) running->generation->Cancel();
  }
}

// A stale claim is not a failure: whoever holds the newer one records the ending.
void Dispatcher::Record(const base::Result<>& ending) {
  if (!ending && ending.error().code() != base::Code::kAborted) Fatal(ending.error());
}

void Dispatcher::EngineFatal(base::Error error) {
  engine_failed_ = !fatal_ || engine_failed_;
  Fatal(std::move(error));
}

void Dispatcher::Fatal(base::Error error) {
  if (!fatal_) fatal_ = std::move(error);
  Drain(runtime_.clock().Steady());
}

}  // namespace inferq::service
