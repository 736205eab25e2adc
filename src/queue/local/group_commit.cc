#include "queue/local/group_commit.h"

#include <utility>

namespace inferq::queue {

namespace {

using namespace std::chrono_literals;

constexpr base::Micros kMaintainAfterCommit = 100ms;
constexpr int kRestPerTurn = 9;  // times what the turn took

}  // namespace

GroupCommit::GroupCommit(runtime::Runtime& runtime, std::shared_ptr<Journal> journal,
                         base::Micros linger, Owner owner)
    : runtime_(runtime),
      journal_(std::move(journal)),
      linger_(linger),
      owner_(std::move(owner)),
      gathering_(std::make_shared<runtime::Event>(runtime)) {}

GroupCommit::~GroupCommit() {
  CancelTimer(linger_timer_);
  CancelTimer(gather_timer_);
  Rest();
}

void GroupCommit::CancelTimer(runtime::Runtime::TimerId& timer) {
  if (timer != 0) runtime_.CancelTimer(std::exchange(timer, 0));
}

void GroupCommit::Rest() {
  resting_ = true;
  maintenance_due_ = false;
  CancelTimer(maintenance_timer_);
}

// Posted work may run after we are gone.
template <class Fn>
auto GroupCommit::WhileAlive(Fn fn) {
  return [alive = std::weak_ptr(alive_), fn = std::move(fn)]() mutable {
    if (!alive.expired()) fn();
  };
}

void GroupCommit::Request() {
  requested_ = true;
  ++requests_;
  GoOn();
}

void GroupCommit::Ride() {
  if (requested_ || linger_timer_ != 0) return;
  linger_timer_ = runtime_.CallAt(runtime_.clock().Steady() + linger_, [this] {
    linger_timer_ = 0;
    Request();
  });
}

// Gives the journal its next work, if it has none and there is some.
void GroupCommit::GoOn() {
  if (scheduled_ || in_flight_ || maintaining_ || failure_) return;
  if (maintenance_due_) return Maintain();
  if (!requested_ || Gathers()) return;
  scheduled_ = true;
  // Posted, so that everyone who is ready to change something joins the group.
  runtime_.Post(WhileAlive([this] { Begin(); }));
}

// Whether the group waits for more; then there is a timer.
bool GroupCommit::Gathers() {
  if (!policy_.Waits(runtime_.clock().Steady(), requests_)) {
    CancelTimer(gather_timer_);
    return false;
  }
  if (gather_timer_ != 0) return true;
  gather_timer_ = runtime_.CallAt(policy_.until(), [this] {
    gather_timer_ = 0;
    GoOn();
  });
  return true;
}

void GroupCommit::Begin() {
  scheduled_ = false;
  requested_ = false;
  CancelTimer(linger_timer_);
  members_ = std::exchange(requests_, 0);
  policy_.Begins(members_);
  in_flight_ = std::exchange(gathering_, std::make_shared<runtime::Event>(runtime_));
  ++started_;
  began_ = runtime_.clock().Steady();
  struct Work {
    std::shared_ptr<Journal> journal;
    ChangeSet changes;
    base::Result<> result;
  };
  auto work = std::make_shared<Work>(Work{journal_, owner_.collect(), {}});
  runtime_.PostBlocking(
      runtime::kJournalLane,
      [work] {
        if (!work->changes.empty()) work->result = work->journal->Commit(work->changes);
        work->changes = {};  // freed here rather than on the strand
      },
      WhileAlive([this, work] { Finish(std::move(work->result)); }));
}

void GroupCommit::Finish(base::Result<> result) {
  auto waiters = std::exchange(in_flight_, nullptr);
  base::SteadyTime now = runtime_.clock().Steady();
  spent_ += now - began_;
  policy_.Ended(now, now - began_, members_, requests_);
  if (result) {
    durable_ = started_;
    owner_.on_durable(durable_);
    MaintainIn(kMaintainAfterCommit);
  } else {
    Fail(std::move(result).error());
  }
  waiters->NotifyAll();
  GoOn();
}

void GroupCommit::Fail(base::Error error) {
  failure_ = std::move(error);
  gathering_->NotifyAll();
}

void GroupCommit::MaintainIn(base::Micros delay) {
  if (resting_ || maintenance_due_ || maintenance_timer_ != 0) return;
  maintenance_timer_ = runtime_.CallAt(runtime_.clock().Steady() + delay, [this] {
    maintenance_timer_ = 0;
    maintenance_due_ = true;
    GoOn();
  });
}

void GroupCommit::Maintain() {
  maintenance_due_ = false;
  maintaining_ = true;
  began_ = runtime_.clock().Steady();
  auto more = std::make_shared<base::Result<bool>>(false);
  runtime_.PostBlocking(
      runtime::kJournalLane, [journal = journal_, more] { *more = journal->Maintain(); },
      WhileAlive([this, more] { FinishMaintenance(std::move(*more)); }));
}

void GroupCommit::FinishMaintenance(base::Result<bool> more) {
  maintaining_ = false;
  if (!more) {
    Fail(std::move(more).error());
  } else if (*more) {
    MaintainIn(kRestPerTurn * (runtime_.clock().Steady() - began_));
  }
  GoOn();
}

runtime::Awaitable<base::Result<>> GroupCommit::WaitFor(Group group) {
  while (durable_ < group && !failure_) {
    auto event = group <= started_ ? in_flight_ : gathering_;
    co_await event->Wait();
  }
  if (durable_ < group) co_return std::unexpected(*failure_);
  co_return base::Result<>{};
}

}  // namespace inferq::queue
