#include "engine/slotted_engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace inferq::engine {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

Job::Job(runtime::Runtime& runtime, Request request)
    : runtime_(runtime), request_(std::move(request)), changed_(runtime) {}

Job::~Job() {
  if (timer_ != 0) runtime_.CancelTimer(timer_);
}

void Job::Emit(std::string_view text, uint64_t tokens) {
  if (ended_) return;
  unread_.text += text;
  unread_.tokens += tokens;
  emitted_ += tokens;
  changed_.NotifyAll();
}

void Job::EmitChunks(std::vector<std::string> chunks, uint64_t tokens) {
  if (ended_) return;
  std::ranges::move(chunks, std::back_inserter(unread_.raw_chunks));
  Emit({}, tokens);
}

void Job::Finish(Delta last) {
  if (ended_) return;
  INFERQ_CHECK(last.finish_reason.has_value());
  last.text.insert(0, unread_.text);
  last.tokens += unread_.tokens;
  last.raw_chunks.insert(last.raw_chunks.begin(),
                         std::make_move_iterator(unread_.raw_chunks.begin()),
                         std::make_move_iterator(unread_.raw_chunks.end()));
  unread_ = std::move(last);
  End();
}

void Job::Fail(Error error) {
  if (ended_) return;
  error_ = std::move(error);
  End();
}

void Job::Cancel() {
  if (ended_) return;
  Delta last;
  last.finish_reason = FinishReason::kCancelled;
  last.usage.completion_tokens = emitted_;
  Finish(std::move(last));
}

void Job::End() {
  ended_ = true;
  if (timer_ != 0) runtime_.CancelTimer(std::exchange(timer_, 0));
  changed_.NotifyAll();
  auto keep = shared_from_this();  // what stops may let go of us
  stop_->Cancel();
}

void Job::WatchDeadline() {
  if (!request_.deadline || ended_) return;
  auto expire = [weak = weak_from_this()] {
    auto job = weak.lock();
    if (!job) return;
    job->timer_ = 0;
    job->Fail(
        Error(Code::kDeadlineExceeded, "the request's deadline passed before it was finished"));
  };
  timer_ = runtime_.CallAt(*request_.deadline, std::move(expire));
}

Awaitable<bool> Job::SleepUntil(base::SteadyTime when) {
  auto keep = shared_from_this();
  runtime::Event ended(runtime_);
  runtime::CancelHook hook(stop_, [&ended] { ended.NotifyAll(); });
  if (!ended_) co_await ended.WaitUntil(when);
  co_return !ended_;
}

bool Job::HasUnread() const {
  return !unread_.text.empty() || unread_.tokens != 0 || !unread_.raw_chunks.empty();
}

Awaitable<Result<Delta>> Job::Next() {
  auto keep = shared_from_this();
  while (!ended_ && !HasUnread()) co_await changed_.Wait();
  if (error_) co_return std::unexpected(*error_);
  if (read_to_end_) co_return base::Fail(Code::kFailedPrecondition, "the generation has ended");
  read_to_end_ = ended_;
  co_return std::exchange(unread_, {});
}

namespace {

class JobGeneration final : public Generation {
 public:
  explicit JobGeneration(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  ~JobGeneration() override { job_->Cancel(); }
  Awaitable<Result<Delta>> Next() override { return job_->Next(); }
  void Cancel() override { job_->Cancel(); }

 private:
  std::shared_ptr<Job> job_;
};

}  // namespace

SlottedEngine::SlottedEngine(runtime::Runtime& runtime, uint32_t slots, size_t max_waiting)
    : runtime_(runtime), slots_(slots), max_waiting_(max_waiting), scope_(runtime) {}

SlottedEngine::~SlottedEngine() = default;

Awaitable<Result<>> SlottedEngine::Start() {
  if (phase_ != Phase::kNew)
    co_return Fail(Code::kFailedPrecondition, "the engine was started before");
  INFERQ_CO_TRY(co_await Open());
  if (phase_ != Phase::kNew) co_return Fail(Code::kCancelled, "the engine was stopped");
  phase_ = Phase::kOpen;
  co_return Result<>{};
}

Awaitable<void> SlottedEngine::Stop() {
  phase_ = Phase::kStopped;
  stop_->Cancel();
  for (auto& job : std::exchange(waiting_, {})) job->Cancel();
  std::vector<std::shared_ptr<Job>> running(running_.begin(), running_.end());
  for (auto& job : running) job->Cancel();
  co_await scope_.Join();
}

Result<std::unique_ptr<Generation>> SlottedEngine::Submit(Request request) {
  if (phase_ == Phase::kNew) return Fail(Code::kFailedPrecondition, "the engine is not started");
  if (phase_ == Phase::kStopped) return Fail(Code::kFailedPrecondition, "the engine is stopped");
  INFERQ_TRY(Prepare(request));
  if (waiting_.size() >= max_waiting_)
    std::erase_if(waiting_, [](auto& job) { return job->ended(); });
  if (waiting_.size() >= max_waiting_) {
    return Fail(Code::kResourceExhausted, "{} requests wait for the engine already", max_waiting_);
  }
  auto job = std::make_shared<Job>(runtime_, std::move(request));
  job->WatchDeadline();
  waiting_.push_back(job);
  Pump();
  return std::make_unique<JobGeneration>(std::move(job));
}

Capacity SlottedEngine::capacity() const {
  return {.slots = slots_,
          .running = static_cast<uint32_t>(running_.size()),
          .context_tokens = context_tokens(),
          .ready = phase_ == Phase::kOpen && MayBegin()};
}

void SlottedEngine::Pump() {
  while (phase_ == Phase::kOpen && MayBegin() && running_.size() < slots_ && !waiting_.empty()) {
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    if (job->ended()) continue;
    running_.insert(job);
    scope_.Spawn(RunInSlot(std::move(job)));
  }
}

Awaitable<void> SlottedEngine::RunInSlot(std::shared_ptr<Job> job) {
  if (!job->ended()) co_await RunJob(job);
  INFERQ_CHECK(job->ended());
  running_.erase(job);
  Pump();
}

void SlottedEngine::FailRunning(const Error& error) {
  std::vector<std::shared_ptr<Job>> running(running_.begin(), running_.end());
  for (auto& job : running) job->Fail(error);
}

}  // namespace inferq::engine
