#include "service/online.h"

#include <utility>

#include "service/estimate.h"
#include "wire/json.h"

namespace inferq::service {

using base::Code;
using base::Result;
using engine::Delta;

/// One request from its submission to the last word of its answer.
///
///   waiting (in the queue) -> running (has a generation) -> ended; back to waiting when an attempt
///   failed before its first text.
class Online::Job {
 public:
  Job(runtime::Runtime& runtime, uint64_t number, OnlineRequest request)
      : number(number), request(std::move(request)), runtime_(runtime), changed_(runtime) {}
  ~Job() {
    if (timer_ != 0) runtime_.CancelTimer(timer_);
  }

  const uint64_t number;
  const OnlineRequest request;
  model::TaskId task;                        // once submitted
  engine::Generation* generation = nullptr;  // while running
  std::optional<base::Error> last_error;     // of an attempt

  bool ended() const { return ended_; }
  /// Somebody may have read a part of the answer; of one that is wanted whole, nobody has.
  bool begun() const { return request.stream && said_something_; }
  /// A stream that has begun may outlive its client's patience with silence.
  bool outlives_expiry() const { return request.stream && request.until_begun; }

  void BeginAttempt() {
    if (!begun()) unread_ = {};
  }
  void Push(Delta delta) {
    said_something_ |= !delta.text.empty() || !delta.raw_chunks.empty();
    unread_.text += delta.text;
    unread_.tokens += delta.tokens;
    std::ranges::move(delta.raw_chunks, std::back_inserter(unread_.raw_chunks));
    if (!delta.raw_response.empty()) unread_.raw_response = std::move(delta.raw_response);
    if (delta.finish_reason) {
      unread_.finish_reason = delta.finish_reason;
      unread_.usage = delta.usage;
      ended_ = true;
    }
    changed_.NotifyAll();
  }
  /// No effect on one that has ended.
  void Fail(base::Error error) {
    if (std::exchange(ended_, true)) return;
    error_ = std::move(error);
    changed_.NotifyAll();
  }
  void FailAt(base::SteadyTime when, runtime::Runtime::Function fail) {
    timer_ = runtime_.CallAt(when, std::move(fail));
  }

  Awaitable<Result<Delta>> Next() {
    while (!ended_ && !HasUnread()) co_await changed_.Wait();
    if (HasUnread()) co_return std::exchange(unread_, {});
    co_return std::unexpected(
        error_.value_or(base::Error(Code::kFailedPrecondition, "the answer was read to its end")));
  }

 private:
  bool HasUnread() const {
    if (unread_.finish_reason) return true;
    return request.stream && (!unread_.text.empty() || !unread_.raw_chunks.empty());
  }

  runtime::Runtime& runtime_;
  runtime::Event changed_;
  runtime::Runtime::TimerId timer_ = 0;
  Delta unread_;
  std::optional<base::Error> error_;
  bool said_something_ = false;
  bool ended_ = false;
};

/// The reader's end. Without it the work is dropped.
class Online::JobAnswer final : public Answer {
 public:
  JobAnswer(std::shared_ptr<Job> job, std::function<void()> cancel)
      : job_(std::move(job)), cancel_(std::move(cancel)) {}
  ~JobAnswer() override { cancel_(); }

  Awaitable<Result<Delta>> Next() override { return job_->Next(); }
  void Cancel() override { cancel_(); }

 private:
  std::shared_ptr<Job> job_;
  std::function<void()> cancel_;
};

Online::Online(runtime::Runtime& runtime, queue::Queue& queue, Options options,
               std::function<void(const std::string&)> wake)
    : runtime_(runtime),
      queue_(queue),
      options_(options),
      wake_(std::move(wake)),
      cancels_(runtime) {}

Online::~Online() = default;

Awaitable<Result<std::shared_ptr<Answer>>> Online::Generate(Caller caller, OnlineRequest request) {
  if (stopped_) co_return std::unexpected(*stopped_);
  if (jobs_.size() >= options_.requests_max) {
    co_return std::unexpected(
        base::Error(Code::kResourceExhausted,
                    fmt::format("{} requests wait or run already, as many as may; try again later",
                                jobs_.size()))
            .WithRetryAfter(std::chrono::seconds(1)));
  }
  auto body = wire::ParseJson(request.body);
  if (!body) co_return std::unexpected(body.error());
  model::TaskSpec spec;
  EstimateCost(spec, *body);
  spec.tenant = caller.tenant;
  spec.lane = request.model;
  spec.priority = request.priority;
  spec.max_attempts = options_.max_attempts;
  spec.traceparent = caller.traceparent;
  spec.interactive = true;
  spec.ephemeral = true;
  spec.payload.offset = ++last_number_;
  auto job = std::make_shared<Job>(runtime_, last_number_, std::move(request));
  jobs_[job->number] = job;
  std::vector<model::TaskSpec> specs{std::move(spec)};
  auto submitted = co_await queue_.Submit(std::move(specs));
  if (!submitted) {
    jobs_.erase(job->number);
    co_return std::unexpected(std::move(submitted).error());
  }
  job->task = submitted->front();
  if (job->request.expires_at) {
    auto expire = [this, number = job->number, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;  // the answer may be held longer than we live
      auto found = jobs_.find(number);
      if (found == jobs_.end()) return;
      Job& late = *found->second;
      if (late.begun() && late.outlives_expiry()) return;
      late.Fail(
          base::Error(Code::kDeadlineExceeded, "The request took longer than its client waits."));
      Drop(number, TaskIs::kLive);
    };
    job->FailAt(*job->request.expires_at, std::move(expire));
  }
  wake_(job->request.model);
  auto cancel = [this, number = job->number, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Drop(number, TaskIs::kLive);
  };
  // The last pointer may go on any thread; the job belongs to the strand.
  auto* answer = new JobAnswer(std::move(job), std::move(cancel));
  auto destroy = [&runtime = runtime_](Answer* gone) { runtime.Post([gone] { delete gone; }); };
  co_return std::shared_ptr<Answer>(answer, destroy);
}

std::shared_ptr<Online::Job> Online::Find(const queue::ClaimedTask& task) const {
  auto found = jobs_.find(task.spec.payload.offset);
  return found == jobs_.end() ? nullptr : found->second;
}

// Nobody waits for it any more.
void Online::Drop(uint64_t number, TaskIs task_is) {
  auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  std::shared_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  job->Fail(base::Error(Code::kCancelled, "The request was cancelled."));
  if (job->generation != nullptr) job->generation->Cancel();
  if (task_is == TaskIs::kLive && job->task) cancels_.Spawn(CancelTask(job->task));
}

Awaitable<void> Online::CancelTask(model::TaskId id) {
  std::vector<model::TaskId> ids{id};
  (void)co_await queue_.Cancel(std::move(ids));  // it may have ended meanwhile
}

void Online::FailWaiting(const std::string& model, const base::Error& error) {
  std::vector<uint64_t> waiting;
  for (auto& [number, job] : jobs_) {
    if (job->request.model == model && job->generation == nullptr) waiting.push_back(number);
  }
  for (uint64_t number : waiting) {
    jobs_[number]->Fail(error);
    Drop(number, TaskIs::kLive);
  }
}

Awaitable<void> Online::Stop(base::Error error) {
  stopped_ = error;
  while (!jobs_.empty()) {
    jobs_.begin()->second->Fail(error);
    Drop(jobs_.begin()->first, TaskIs::kLive);
  }
  co_await cancels_.Join();
}

Awaitable<Result<Work>> Online::Load(queue::ClaimedTask task) {
  auto job = Find(task);
  if (!job) co_return base::Fail(Code::kCancelled, "nobody waits for it any more");
  Work work;
  work.request.id = fmt::format("req_{:016x}_{}", task.id.value, task.attempt);
  work.request.endpoint = job->request.endpoint;
  work.request.body = job->request.body;
  work.request.model = job->request.model;
  work.request.stream = job->request.stream;
  work.request.interactive = true;
  if (!job->outlives_expiry()) work.request.deadline = job->request.expires_at;
  work.request.traceparent = task.spec.traceparent;
  co_return work;
}

Awaitable<Result<Delta>> Online::Collect(queue::ClaimedTask task, engine::Generation& generation) {
  auto job = Find(task);
  if (!job) co_return base::Fail(Code::kCancelled, "nobody waits for it any more");
  job->generation = &generation;
  job->BeginAttempt();
  while (true) {
    auto delta = co_await generation.Next();
    bool last = !delta || delta->finish_reason.has_value();
    if (last) job->generation = nullptr;
    if (!delta) {
      job->last_error = delta.error();  // what breaks a stream off is told as it is
      co_return std::unexpected(std::move(delta).error());
    }
    // Cut by a drain, or by the reader: no proper end.
    if (delta->finish_reason == engine::FinishReason::kCancelled)
      co_return base::Fail(Code::kCancelled, "cancelled");
    Delta end;
    end.finish_reason = delta->finish_reason;
    end.usage = delta->usage;
    if (job->ended()) co_return base::Fail(Code::kCancelled, "nobody waits for it any more");
    job->Push(*std::move(delta));
    if (last) co_return end;
  }
}

Awaitable<Result<model::Extent>> Online::StoreAnswer(queue::ClaimedTask, Work, Delta) {
  co_return model::Extent{};
}

Awaitable<Result<model::Extent>> Online::StoreError(queue::ClaimedTask task, base::Error error) {
  if (auto job = Find(task)) job->last_error = std::move(error);
  co_return model::Extent{};
}

// After an attempt: has the task ended with it?
Awaitable<void> Online::Settled(queue::ClaimedTask task, Attempt) {
  auto job = Find(task);
  if (!job) co_return;
  if (job->begun() && !job->ended()) {
    // What was read cannot be taken back, so this answer cannot be begun anew.
    job->Fail(job->last_error.value_or(base::Error(Code::kUnavailable, "The answer was cut off.")));
  }
  auto live = co_await queue_.Get(task.id);
  if (live && IsTerminal(live->state)) live = base::Fail(Code::kNotFound, "ended");
  if (live && !job->ended()) co_return;
  job->Fail(job->last_error.value_or(base::Error(Code::kUnavailable, "The request was given up.")));
  Drop(job->number, live ? TaskIs::kLive : TaskIs::kOver);
}

}  // namespace inferq::service
