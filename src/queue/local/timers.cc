// What time does: leases run out, blocked tasks wake, tasks expire. One timer serves all.

#include <algorithm>
#include <utility>

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using model::State;
using model::TaskId;

// Events handled in one go before others get the strand.
constexpr size_t kEventsPerTurn = 1000;
// Civil time may be set forward: look again at least this often when something waits for it.
constexpr base::Micros kWallRecheck = std::chrono::seconds(60);

std::optional<base::SteadyTime> LocalQueue::NextDue() const {
  std::optional<base::SteadyTime> next = lease_due_.Earliest();
  for (const auto* due : {&wake_due_, &expiry_due_, &batch_expiry_due_, &retention_due_}) {
    auto wall = due->Earliest();
    if (!wall) continue;
    base::WallTime now = WallNow();
    base::Micros wait = *wall <= now ? base::Micros(0) : std::min(*wall - now, kWallRecheck);
    base::SteadyTime when = SteadyNow() + wait;
    if (!next || when < *next) next = when;
  }
  return next;
}

// A timer that fires too early is harmless, so it is only ever moved forward.
void LocalQueue::ArmTimer() {
  if (phase_ != Phase::kOpen) return;
  auto next = NextDue();
  if (!next || (timer_ != 0 && timer_at_ <= *next)) return;
  if (timer_ != 0) runtime_.CancelTimer(timer_);
  timer_at_ = *next;
  timer_ = runtime_.CallAt(timer_at_, [this] { OnTimer(); });
}

void LocalQueue::OnTimer() {
  timer_ = 0;
  if (!healthy()) return;
  size_t left = kEventsPerTurn;
  left -= ExpireLeases(left);
  left -= ExpireTasks(left);
  left -= ExpireBatches(left);
  WakeBlocked(left);
  if (retention_due_.PopDue(WallNow())) DropEnded();
  ArmTimer();
}

size_t LocalQueue::ExpireLeases(size_t limit) {
  size_t done = 0;
  for (base::SteadyTime now = SteadyNow(); done < limit; ++done) {
    TaskId id = lease_due_.PopDue(now);
    if (!id) break;
    ExpireLease(*tasks_.Find(id));
  }
  return done;
}

// The worker is taken for dead. The task keeps its place in the order; a start that it had counts.
// A lease that is stored ends durably before another one begins, so that no restart brings it back.
void LocalQueue::ExpireLease(Task& task) {
  std::string worker = task.lease->worker;
  bool used_up = task.state == State::kRunning && task.attempts >= task.max_attempts;
  Wait wait = task.lease->external ? Wait::kAwaited : Wait::kRides;
  EndLease(task, Owes::kNothing);
  if (used_up) {
    End(task, State::kFailed, base::Code::kDeadlineExceeded,
        fmt::format("the lease of worker \"{}\" ran out in attempt {} of {}", worker, task.attempts,
                    task.max_attempts));
  } else {
    Enqueue(task, wait);
  }
}

size_t LocalQueue::WakeBlocked(size_t limit) {
  size_t done = 0;
  for (base::WallTime now = WallNow(); done < limit; ++done) {
    TaskId id = wake_due_.PopDue(now);
    if (!id) break;
    TryUnblock(*tasks_.Find(id), Wait::kRides);
  }
  return done;
}

size_t LocalQueue::ExpireTasks(size_t limit) {
  size_t done = 0;
  for (base::WallTime now = WallNow(); done < limit; ++done) {
    TaskId id = expiry_due_.PopDue(now);
    if (!id) break;
    Task& task = *tasks_.Find(id);
    if (task.lease) {
      EndLease(task, Owes::kCharge);
      task.fence = fences_.Next();  // cuts off the worker
    }
    End(task, State::kExpired, base::Code::kDeadlineExceeded, "expires_at has passed");
  }
  return done;
}

size_t LocalQueue::ExpireBatches(size_t limit) {
  size_t done = 0;
  for (base::WallTime now = WallNow(); done < limit; ++done) {
    TaskId first = batch_expiry_due_.PopDue(now);
    if (!first) break;
    CutBatch(*BatchAt(first), State::kExpired, "expires_at has passed", true);
  }
  return done;
}

}  // namespace inferq::queue
