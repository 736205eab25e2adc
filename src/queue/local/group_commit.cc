#include "queue/local/group_commit.h"

#include <utility>

namespace inferq::queue {

GroupCommit::GroupCommit(runtime::Runtime& runtime, std::shared_ptr<Journal> journal,
                         base::Micros linger, Owner owner)
    : runtime_(runtime),
      journal_(std::move(journal)),
      linger_(linger),
      owner_(std::move(owner)),
      gathering_(std::make_shared<runtime::Event>(runtime)) {}

GroupCommit::~GroupCommit() {
  if (linger_timer_ != 0) runtime_.CancelTimer(linger_timer_);
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
  Schedule();
}

void GroupCommit::Ride() {
  if (requested_ || linger_timer_ != 0) return;
  linger_timer_ = runtime_.CallAt(runtime_.clock().Steady() + linger_, [this] {
    linger_timer_ = 0;
    Request();
  });
}

void GroupCommit::Schedule() {
  if (!requested_ || scheduled_ || in_flight_ || failure_) return;
  scheduled_ = true;
  // Posted, so that everyone who is ready to change something joins the group.
  runtime_.Post(WhileAlive([this] { Begin(); }));
}

void GroupCommit::Begin() {
  scheduled_ = false;
  requested_ = false;
  if (linger_timer_ != 0) runtime_.CancelTimer(std::exchange(linger_timer_, 0));
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
  spent_ += runtime_.clock().Steady() - began_;
  if (result) {
    durable_ = started_;
    owner_.on_durable(durable_);
  } else {
    failure_ = std::move(result).error();
    gathering_->NotifyAll();
  }
  waiters->NotifyAll();
  Schedule();
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
