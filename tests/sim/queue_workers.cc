// Workers: they claim over the network, run what they got side by side, and some of them go wrong.

#include <gtest/gtest.h>

#include <algorithm>

#include "queue_actors.h"
#include "queue_network.h"

namespace inferq::queue {

using namespace std::chrono_literals;
using base::Code;

Awaitable<void> QueueSimulation::Worker(std::string name) {
  while (!over_) {
    ClaimRequest request{.worker = name,
                         .lanes = {"a", "b"},
                         .max_tasks = 1 + static_cast<uint32_t>(rng_.Below(4)),
                         .lease = 3s + base::Micros(rng_.Below(17'000'000))};
    if (!calm_ && rng_.Chance(0.3)) request.lanes.pop_back();
    base::Micros wait = calm_ ? kCalmWait : base::Micros(rng_.Below(3'000'000));
    request.wait_until = world_.sim().clock().Steady() + wait;
    base::Micros lease = request.lease;
    Call<base::Result<std::vector<ClaimedTask>>> call = [request](LoggedQueue& queue) {
      return queue.Claim(request);
    };
    auto answer = co_await Ask(std::move(call));
    if (answer && *answer && !(*answer)->empty()) {
      co_await WorkOnAll(**answer, lease);
    } else {
      co_await Sleep(1s);
    }
  }
}

// A poisoned task takes the whole worker with it, and its supervisor tells of all that ran.
Awaitable<void> QueueSimulation::WorkOnAll(std::vector<ClaimedTask> tasks, base::Micros lease) {
  EXPECT_TRUE(tasks.size() == 1 || std::ranges::none_of(tasks, &ClaimedTask::alone));
  bool poisoned =
      std::ranges::any_of(tasks, [this](const ClaimedTask& task) { return IsPoison(task.spec); });
  if (poisoned) co_return co_await CrashWith(std::move(tasks));
  for (const ClaimedTask& task : tasks) Spawn(Work(task, lease));
  co_await Sleep(3s);
}

Awaitable<void> QueueSimulation::CrashWith(std::vector<ClaimedTask> tasks) {
  std::vector<Failure> failures;
  for (const ClaimedTask& task : tasks) {
    TaskRef ref{task.id, task.fence};
    Call<base::Result<>> start = [ref](LoggedQueue& queue) { return queue.Start(ref); };
    (void)co_await Ask(std::move(start));
    failures.push_back({.task = ref,
                        .error = base::Error(Code::kInternal, "the worker died"),
                        .retryable = true,
                        .crashed = true});
  }
  Call<std::vector<base::Result<>>> fail = [failures](LoggedQueue& queue) {
    return queue.FailAll(failures);
  };
  (void)co_await Ask(std::move(fail));
}

Awaitable<void> QueueSimulation::Work(ClaimedTask task, base::Micros lease) {
  TaskRef ref{task.id, task.fence};
  if (!calm_ && faults_.bad_workers && rng_.Chance(0.05)) co_return;  // dies at once
  Call<base::Result<>> start = [ref](LoggedQueue& queue) { return queue.Start(ref); };
  auto started = co_await Ask(std::move(start));
  bool go = started && started->has_value();
  if (!go && rng_.Chance(0.8)) co_return;  // else it is stubborn
  if (co_await RunIt(ref, lease)) co_await EndIt(ref, lease);
}

// Runs for a while with heartbeats. @return false when it gave up.
Awaitable<bool> QueueSimulation::RunIt(TaskRef ref, base::Micros lease) {
  base::SteadyTime end = world_.sim().clock().Steady() + base::Micros(rng_.Below(8'000'000));
  while (world_.sim().clock().Steady() + lease / 3 < end) {
    co_await world_.sim().SleepFor(lease / 3);
    Renewal renewal{.task = ref, .lease = lease, .checkpoint = {}};
    if (rng_.Chance(0.3)) renewal.checkpoint = "half";
    Call<RenewalReply> renew = [renewal](LoggedQueue& queue) { return queue.Renew(renewal); };
    auto reply = co_await Ask(std::move(renew));
    bool lost = reply && *reply != RenewalReply::kHeld;
    if (lost && rng_.Chance(0.8)) co_return false;  // else it works on for nothing
  }
  co_await world_.sim().SleepUntil(std::max(end, world_.sim().clock().Steady()));
  co_return true;
}

Awaitable<void> QueueSimulation::EndIt(TaskRef ref, base::Micros lease) {
  double bad = !calm_ && faults_.bad_workers ? rng_.Uniform() : 1.0;
  double failing = !calm_ && faults_.failing_work ? rng_.Uniform() : 1.0;
  if (bad < 0.05) co_return;  // dies without a word
  if (bad < 0.15) {           // stopped, and woken after its lease has run out
    co_await world_.sim().SleepFor(lease + base::Micros(rng_.Below(20'000'000)));
  } else if (bad < 0.22) {
    Call<base::Result<>> release = [ref](LoggedQueue& queue) { return queue.Release(ref); };
    (void)co_await Ask(std::move(release));
    if (rng_.Chance(0.5)) co_return;  // else it completes what it has handed back
  }
  if (failing < 0.12) co_return co_await FailIt(ref, true, false);
  if (failing < 0.16) co_return co_await FailIt(ref, false, false);
  if (failing < 0.20) co_return co_await FailIt(ref, true, true);
  co_await Complete(ref, bad < 0.4 ? 2 : 1);
}

Awaitable<void> QueueSimulation::Complete(TaskRef ref, int times) {
  for (int i = 0; i < times; ++i) {
    Completion completion{.task = ref, .result = {1, ++results_, 10}, .cost = 1 + rng_.Below(60)};
    Call<base::Result<>> complete = [completion](LoggedQueue& queue) {
      return queue.Complete(completion);
    };
    auto answer = co_await Ask(std::move(complete));
    if (times == 1 && !answer) ++times;  // unanswered: tells it once more
    if (times > 3) co_return;
    co_await Sleep(20s);
  }
}

Awaitable<void> QueueSimulation::FailIt(TaskRef ref, bool retryable, bool crashed) {
  Failure failure{.task = ref,
                  .error = base::Error(Code::kUnavailable, "it broke"),
                  .retryable = retryable,
                  .crashed = crashed};
  Call<base::Result<>> fail = [failure](LoggedQueue& queue) { return queue.Fail(failure); };
  (void)co_await Ask(std::move(fail));
  if (rng_.Chance(0.3)) co_await Complete(ref, 1);  // it cannot make up its mind
}

}  // namespace inferq::queue
