#include "service/workers.h"

#include <algorithm>
#include <utility>

#include "service/extents.h"
#include "service/lane.h"

namespace inferq::service {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using model::TaskId;
using queue::ClaimedTask;
using queue::TaskRef;

namespace {

constexpr size_t kLeasesPerTurn = 4096;

TaskRef RefOf(const wire::HeldTask& task) { return {.id = task.id, .fence = task.fence}; }

template <class Item>
std::vector<TaskId> IdsOf(const std::vector<Item>& items) {
  std::vector<TaskId> ids;
  ids.reserve(items.size());
  for (const Item& item : items) ids.push_back(item.task.id);
  return ids;
}

wire::HeldState StateOf(queue::RenewalReply reply) {
  switch (reply) {
    case queue::RenewalReply::kHeld:
      return wire::HeldState::kHeld;
    case queue::RenewalReply::kCancelRequested:
      return wire::HeldState::kCancelled;
    case queue::RenewalReply::kLost:
      return wire::HeldState::kLost;
  }
  return wire::HeldState::kLost;
}

model::Extent PartOf(const model::Extent& whole, const wire::Span& part) {
  return {.blob = whole.blob, .offset = whole.offset + part.offset, .length = part.length};
}

/// Puts the answers to the items that were passed on where those stood.
void Fill(std::vector<Result<>>& outcomes, std::vector<Result<>> answers) {
  size_t next = 0;
  for (Result<>& outcome : outcomes) {
    if (outcome) outcome = std::move(answers[next++]);
  }
}

}  // namespace

Workers::Workers(runtime::Runtime& runtime, queue::Queue& queue,
                 std::shared_ptr<blob::BlobStore> blobs, ResultLog& results, Observer& observer,
                 WorkerLimits limits)
    : runtime_(runtime),
      queue_(queue),
      blobs_(std::move(blobs)),
      results_(results),
      observer_(observer),
      limits_(limits),
      registry_({.workers_max = limits.workers_max, .silence = limits.silence}) {}

std::shared_ptr<WorkerRegistry::Worker> Workers::Touch(const Caller& caller,
                                                       const std::string& name) {
  const base::Clock& clock = runtime_.clock();
  return registry_.Touch(caller.tenant, name, {.steady = clock.Steady(), .wall = clock.Wall()});
}

// Claim.

Awaitable<Result<std::vector<ClaimedWork>>> Workers::Claim(Caller caller, wire::WorkerClaim call,
                                                           HungUp gone) {
  Touch(caller, call.worker);
  queue::ClaimRequest request{.worker = call.worker,
                              .lanes = {},
                              .max_tasks = call.max_tasks,
                              .token_budget = call.token_budget,
                              .lease = call.lease,
                              .external = true};
  for (const std::string& kind : call.kinds) {
    request.lanes.push_back(KindLane(caller.tenant, kind));
  }
  bool waits = call.wait > 0us;
  if (waits && waiting_[caller.tenant] >= limits_.waiting_max) {
    co_return std::unexpected(
        base::Error(Code::kResourceExhausted,
                    fmt::format("{} claims wait already, as many as may", limits_.waiting_max))
            .WithRetryAfter(1s));
  }
  if (waits) ++waiting_[caller.tenant];
  auto claimed = co_await Await(std::move(request), call.wait, gone);
  if (waits && --waiting_[caller.tenant] == 0) waiting_.erase(caller.tenant);
  if (!claimed) co_return std::unexpected(std::move(claimed).error());
  if (claimed->empty()) co_return std::vector<ClaimedWork>{};
  co_await CutToSize(*claimed);
  auto begun = co_await Begin(*std::move(claimed));
  if (gone && *gone) {
    std::vector<TaskRef> refs;
    for (const ClaimedWork& work : begun) refs.push_back({work.task.id, work.task.fence});
    (void)co_await queue_.Release(std::move(refs));
    co_return std::vector<ClaimedWork>{};
  }
  auto worker = Touch(caller, call.worker);
  base::SteadyTime until = runtime_.clock().Steady() + call.lease;
  for (const ClaimedWork& work : begun) registry_.Hold(work.task.id, worker, until);
  observer_.TasksClaimed(caller, begun.size());
  co_return begun;
}

// In slices: nobody tells the queue that a client has hung up, or that we stop.
Awaitable<Result<std::vector<ClaimedTask>>> Workers::Await(queue::ClaimRequest request,
                                                           base::Micros wait, HungUp gone) {
  const base::SteadyTime until = runtime_.clock().Steady() + wait;
  while (true) {
    request.wait_until = std::min(until, runtime_.clock().Steady() + limits_.look);
    auto claimed = co_await queue_.Claim(request);
    if (!claimed || !claimed->empty()) co_return claimed;
    if (draining_ || (gone && *gone) || runtime_.clock().Steady() >= until) co_return claimed;
  }
}

Awaitable<void> Workers::CutToSize(std::vector<ClaimedTask>& claimed) {
  uint64_t bytes = claimed.front().spec.payload.length;
  size_t keep = 1;
  for (; keep < claimed.size(); ++keep) {
    bytes += claimed[keep].spec.payload.length;
    if (bytes > limits_.claim_bytes_max) break;
  }
  if (keep == claimed.size()) co_return;
  std::vector<TaskRef> rest;
  for (size_t i = keep; i < claimed.size(); ++i) rest.push_back({claimed[i].id, claimed[i].fence});
  claimed.resize(keep);
  (void)co_await queue_.Release(std::move(rest));
}

// An attempt is counted, and the payload is there. A payload that cannot be read ends its task.
Awaitable<std::vector<ClaimedWork>> Workers::Begin(std::vector<ClaimedTask> claimed) {
  std::vector<TaskRef> refs;
  std::vector<model::Extent> payloads;
  for (const ClaimedTask& task : claimed) {
    refs.push_back({task.id, task.fence});
    payloads.push_back(task.spec.payload);
  }
  auto started = co_await queue_.Start(std::move(refs));
  auto read = [blobs = blobs_, payloads = std::move(payloads)] {
    return ReadExtents(*blobs, payloads);
  };
  auto texts = co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(read));
  std::vector<ClaimedWork> begun;
  std::vector<queue::Failure> unreadable;
  for (size_t i = 0; i < claimed.size(); ++i) {
    if (!started[i]) continue;  // cancelled or expired meanwhile
    if (texts[i]) {
      begun.push_back({.task = std::move(claimed[i]), .payload = *std::move(texts[i])});
    } else {
      unreadable.push_back({.task = {claimed[i].id, claimed[i].fence}, .error = texts[i].error()});
    }
  }
  if (!unreadable.empty()) (void)co_await queue_.Fail(std::move(unreadable));
  co_return begun;
}

// Whose task it is.

// A fence can be guessed, so it is no proof that the caller may touch the task.
Awaitable<Workers::Outcomes> Workers::Own(Caller caller, std::vector<TaskId> tasks) {
  Outcomes outcomes;
  outcomes.reserve(tasks.size());
  for (TaskId task : tasks) {
    bool owns = co_await Owns(caller, task);
    outcomes.push_back(owns ? Result<>()
                            : base::Fail(Code::kNotFound, "{} does not exist", ToString(task)));
  }
  co_return outcomes;
}

// The registry knows it unless the task was claimed before a restart or its lease ran out.
Awaitable<bool> Workers::Owns(const Caller& caller, TaskId task) {
  if (const std::string* tenant = registry_.TenantOf(task)) co_return *tenant == caller.tenant;
  auto record = co_await queue_.Get(task);
  co_return record && record->spec.tenant == caller.tenant &&
      record->spec.lane.starts_with(KindPrefix(caller.tenant));
}

void Workers::Settle(const std::vector<TaskId>& tasks, const Outcomes& outcomes) {
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (outcomes[i]) registry_.Drop(tasks[i]);
  }
}

// Renew.

Awaitable<std::vector<HeldReply>> Workers::Renew(Caller caller, wire::RenewCall call) {
  std::vector<queue::Renewal> renewals;
  for (wire::WorkerRenewal& item : call.tasks) {
    renewals.push_back(
        {.task = RefOf(item.task), .lease = call.lease, .checkpoint = std::move(item.checkpoint)});
  }
  co_return co_await Extend(std::move(caller), std::move(call.worker), std::move(renewals));
}

Awaitable<std::vector<HeldReply>> Workers::Heartbeat(Caller caller, wire::HeartbeatCall call) {
  auto worker = Touch(caller, call.worker);
  worker->seen.version = std::move(call.version);
  worker->seen.capacity = call.capacity;
  worker->seen.load = call.load;
  std::vector<queue::Renewal> renewals;
  for (const wire::HeldTask& task : call.tasks) {
    renewals.push_back({.task = RefOf(task), .lease = call.lease});
  }
  co_return co_await Extend(std::move(caller), std::move(call.worker), std::move(renewals));
}

Awaitable<std::vector<HeldReply>> Workers::Extend(Caller caller, std::string name,
                                                  std::vector<queue::Renewal> renewals) {
  std::vector<TaskId> ids = IdsOf(renewals);
  Outcomes own = co_await Own(caller, ids);
  std::vector<queue::Renewal> allowed;
  for (size_t i = 0; i < renewals.size(); ++i) {
    if (own[i]) allowed.push_back(std::move(renewals[i]));
  }
  base::Micros lease = allowed.empty() ? 0us : allowed.front().lease;
  auto replies = co_await queue_.Renew(std::move(allowed));
  auto worker = Touch(caller, name);
  base::SteadyTime until = runtime_.clock().Steady() + lease;
  std::vector<HeldReply> answers;
  size_t next = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    auto state = own[i] ? StateOf(replies[next++]) : wire::HeldState::kLost;
    answers.emplace_back(ids[i], state);
    if (state == wire::HeldState::kHeld) registry_.Hold(ids[i], worker, until);
    if (state == wire::HeldState::kCancelled) registry_.Drop(ids[i]);
  }
  co_return answers;
}

// Endings.

Awaitable<Result<Completed>> Workers::Complete(Caller caller, wire::CompleteCall call,
                                               HungUp gone) {
  Touch(caller, call.worker);
  std::vector<TaskId> ids = IdsOf(call.tasks);
  Completed done;
  done.outcomes = co_await Own(caller, ids);
  std::vector<queue::Completion> completions;
  for (size_t i = 0; i < call.tasks.size(); ++i) {
    if (done.outcomes[i]) {
      completions.push_back({.task = RefOf(call.tasks[i].task), .cost = call.tasks[i].cost});
    }
  }
  if (!completions.empty()) {
    INFERQ_CO_ASSIGN(model::Extent stored, co_await results_.Append(std::move(call.results)));
    size_t next = 0;
    for (size_t i = 0; i < call.tasks.size(); ++i) {
      if (done.outcomes[i]) completions[next++].result = PartOf(stored, call.tasks[i].result);
    }
    Fill(done.outcomes, co_await queue_.Complete(std::move(completions)));
    results_.Recorded(stored);
  }
  Settle(ids, done.outcomes);
  observer_.TasksReported(caller, "completed", done.outcomes);
  if (call.claim) {
    done.claimed = co_await Claim(std::move(caller), *std::move(call.claim), std::move(gone));
  }
  co_return done;
}

Awaitable<Result<std::vector<Result<>>>> Workers::Fail(Caller caller, wire::FailCall call) {
  Touch(caller, call.worker);
  std::vector<TaskId> ids = IdsOf(call.tasks);
  Outcomes outcomes = co_await Own(caller, ids);
  INFERQ_CO_ASSIGN(model::Extent stored, co_await results_.Append(std::move(call.errors)));
  std::vector<queue::Failure> failures;
  for (size_t i = 0; i < call.tasks.size(); ++i) {
    wire::WorkerFailure& item = call.tasks[i];
    if (!outcomes[i]) continue;
    failures.push_back({.task = RefOf(item.task),
                        .error = base::Error(Code::kInternal, std::move(item.message)),
                        .retryable = item.retryable,
                        .crashed = item.crashed,
                        .result = PartOf(stored, item.error)});
  }
  Fill(outcomes, co_await queue_.Fail(std::move(failures)));
  results_.Recorded(stored);
  Settle(ids, outcomes);
  observer_.TasksReported(caller, "failed", outcomes);
  co_return outcomes;
}

Awaitable<std::vector<Result<>>> Workers::Release(Caller caller, wire::ReleaseCall call) {
  Touch(caller, call.worker);
  std::vector<TaskId> ids;
  for (const wire::HeldTask& task : call.tasks) ids.push_back(task.id);
  Outcomes outcomes = co_await Own(caller, ids);
  std::vector<TaskRef> refs;
  for (size_t i = 0; i < call.tasks.size(); ++i) {
    if (outcomes[i]) refs.push_back(RefOf(call.tasks[i]));
  }
  Fill(outcomes, co_await queue_.Release(std::move(refs)));
  Settle(ids, outcomes);
  observer_.TasksReported(caller, "released", outcomes);
  co_return outcomes;
}

std::vector<wire::WorkerObject> Workers::List(const Caller& caller) const {
  return registry_.List(caller.tenant);
}

Awaitable<void> Workers::Sweep() {
  registry_.SweepWorkers(runtime_.clock().Steady());
  while (registry_.SweepLeases(runtime_.clock().Steady(), kLeasesPerTurn)) {
    co_await runtime_.Yield();
  }
}

}  // namespace inferq::service
