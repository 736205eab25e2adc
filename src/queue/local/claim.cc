// Claim, Start, Renew.

#include <algorithm>

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;

namespace {

constexpr uint32_t kMaxClaim = 10'000;
constexpr size_t kMaxCheckpointBytes = size_t{64} * 1024;
constexpr base::Micros kMaxLease = std::chrono::hours(24);
constexpr base::Micros kShortestWait = std::chrono::milliseconds(1);

base::Result<> CheckClaim(const ClaimRequest& request) {
  if (request.max_tasks < 1 || request.max_tasks > kMaxClaim) {
    return base::Fail(Code::kInvalidArgument, "max_tasks must be in [1, {}], not {}", kMaxClaim,
                      request.max_tasks);
  }
  if (request.lanes.empty()) return base::Fail(Code::kInvalidArgument, "a claim must name lanes");
  if (request.lease <= base::Micros(0) || request.lease > kMaxLease) {
    return base::Fail(Code::kInvalidArgument, "lease must be above 0 and at most 24 h");
  }
  return {};
}

}  // namespace

Awaitable<base::Result<std::vector<ClaimedTask>>> LocalQueue::Claim(ClaimRequest request) {
  INFERQ_CO_TRY(Ready());
  INFERQ_CO_TRY(CheckClaim(request));
  for (bool woken = false;; woken = true) {
    Group group = 0;
    std::vector<ClaimedTask> claimed = PickNow(request, group);
    if (woken && !claimed.empty()) HandOn(request);
    if (group > commits_->durable()) {
      INFERQ_CO_TRY(co_await Durable(group));
      INFERQ_CO_TRY(Ready());
      BeginLeases(claimed, request.lease);
    }
    if (!claimed.empty() || SteadyNow() >= request.wait_until) co_return claimed;
    Waiter waiter{.request = request, .event = runtime::Event(runtime_)};
    auto place = waiters_.insert(waiters_.end(), &waiter);
    // A tenant whose tokens of this minute are used up is tried again when it has some.
    base::SteadyTime until = request.wait_until;
    if (auto eligible = scheduler_->NextEligible(request.lanes, WallNow()))
      until = std::min(until, SteadyNow() + std::max(*eligible - WallNow(), kShortestWait));
    co_await waiter.event.WaitUntil(until);
    waiters_.erase(place);
    if (phase_ != Phase::kOpen) co_return std::vector<ClaimedTask>{};
    INFERQ_CO_TRY(Ready());
  }
}

// `group` becomes the one that makes durable why these tasks may run: their submission, the endings
// of their parents. Nobody may run them before.
std::vector<ClaimedTask> LocalQueue::PickNow(const ClaimRequest& request, Group& group) {
  sched::PickRequest pick{.lanes = request.lanes,
                          .max_tasks = request.max_tasks,
                          .token_budget = request.token_budget,
                          .now = WallNow(),
                          .interactive_only = request.interactive_only};
  std::vector<ClaimedTask> claimed;
  for (TaskId id : scheduler_->Pick(pick)) {
    Task& task = *tasks_.Find(id);
    group = std::max(group, task.change);
    claimed.push_back(Lease(task, request));
  }
  if (!claimed.empty()) ArmTimer();
  return claimed;
}

// After a wait: leases count from now, and what was cancelled meanwhile is not handed out.
void LocalQueue::BeginLeases(std::vector<ClaimedTask>& claimed, base::Micros lease) {
  std::erase_if(claimed, [&](const ClaimedTask& task) {
    auto held = Holding({task.id, task.fence});
    if (held) Extend(**held, lease);
    return !held;
  });
  ArmTimer();
}

// The scheduler has charged the tenant already.
ClaimedTask LocalQueue::Lease(Task& task, const ClaimRequest& request) {
  task.fence = fences_.Next();
  LeaveWindow(task);
  task.lease = std::make_unique<ActiveLease>(ActiveLease{.worker = request.worker,
                                                         .expires = SteadyNow() + request.lease,
                                                         .ttl = request.lease,
                                                         .external = request.external});
  lease_due_.Add(task.lease->expires, task.id);
  Charged(task);
  MoveTo(task, State::kLeased, Wait::kRides);
  ClaimedTask claimed{.id = task.id,
                      .fence = task.fence,
                      .spec = SpecOf(task),
                      .attempt = task.attempts + 1,
                      .alone = task.suspect,
                      .checkpoint = {},
                      .eligible = task.eligible};
  if (task.extra) claimed.checkpoint = task.extra->checkpoint;
  return claimed;
}

// Wakes the longest-waiting claim that serves such a task.
void LocalQueue::WakeClaims(const std::string& lane, bool interactive) {
  for (Waiter* waiter : waiters_) {
    if (waiter->woken || !waiter->Serves(lane, interactive)) continue;
    waiter->Wake();
    return;
  }
}

// A claim may have been woken by one task and have taken another: what it left is for those who
// still wait.
void LocalQueue::HandOn(const ClaimRequest& request) {
  for (const std::string& lane : request.lanes) {
    if (scheduler_->waiting_in(lane) == 0) continue;
    for (Waiter* waiter : waiters_) {
      if (!waiter->woken && waiter->Serves(lane, true)) waiter->Wake();
    }
  }
}

void LocalQueue::WakeAllClaims() {
  for (Waiter* waiter : waiters_) waiter->Wake();
}

// The task, if `ref` is its newest claim and that has not ended.
base::Result<Task*> LocalQueue::Holding(const TaskRef& ref) {
  Task* task = tasks_.Find(ref.id);
  if (task == nullptr) return base::Fail(Code::kAborted, "{} does not exist", ToString(ref.id));
  if (task->fence != ref.fence || !HasLease(task->state)) {
    return base::Fail(Code::kAborted,
                      "the claim of {} is lost: it is {}, newest fence {:#x}, not {:#x}",
                      ToString(ref.id), StateName(task->state), task->fence.value, ref.fence.value);
  }
  return task;
}

Awaitable<std::vector<base::Result<>>> LocalQueue::Start(std::vector<TaskRef> tasks) {
  if (auto ready = Ready(); !ready) co_return Items(tasks.size(), ready);
  Items items;
  for (const TaskRef& ref : tasks) items.push_back(StartOne(ref));
  co_return items;
}

base::Result<> LocalQueue::StartOne(const TaskRef& ref) {
  INFERQ_ASSIGN(Task * task, Holding(ref));
  if (task->state == State::kRunning) return {};  // told twice
  ++task->attempts;
  task->lease->started = SteadyNow();
  if (!task->ephemeral()) index_.CountAttempt(task->tenant, task->batch);
  MoveTo(*task, State::kRunning, Wait::kRides);
  return {};
}

Awaitable<std::vector<RenewalReply>> LocalQueue::Renew(std::vector<Renewal> renewals) {
  std::vector<RenewalReply> replies;
  bool ready = Ready().has_value();
  for (Renewal& renewal : renewals) {
    replies.push_back(ready ? RenewOne(renewal) : RenewalReply::kLost);
  }
  if (ready) ArmTimer();
  co_return replies;
}

RenewalReply LocalQueue::RenewOne(Renewal& renewal) {
  auto held = Holding(renewal.task);
  if (!held) {
    const Task* task = tasks_.Find(renewal.task.id);
    bool cancelled =
        task != nullptr && task->fence == renewal.task.fence && task->state == State::kCancelled;
    Group group = 0;
    cancelled |= ToldTwice(renewal.task, State::kCancelled, group);
    return cancelled ? RenewalReply::kCancelRequested : RenewalReply::kLost;
  }
  Task& task = **held;
  Extend(task, std::clamp(renewal.lease, base::Micros(1), kMaxLease));
  if (renewal.checkpoint && renewal.checkpoint->size() <= kMaxCheckpointBytes) {
    task.Extra().checkpoint = *std::move(renewal.checkpoint);
    Changed(task, kDirtyCheckpoint, Wait::kRides);
  }
  return RenewalReply::kHeld;
}

void LocalQueue::Extend(Task& task, base::Micros lease) {
  task.lease->ttl = lease;
  lease_due_.Remove(task.lease->expires, task.id);
  task.lease->expires = SteadyNow() + lease;
  lease_due_.Add(task.lease->expires, task.id);
}

}  // namespace inferq::queue
