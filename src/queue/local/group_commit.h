#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "queue/local/gather_policy.h"
#include "queue/local/journal.h"
#include "runtime/event.h"
#include "runtime/runtime.h"

namespace inferq::queue {

/// Writes changes in groups: while one commit is under way the next group gathers, and one fsync
/// serves all of it. Groups are numbered from 1 and committed in that order, one at a time.
///
/// The owner changes its memory first, then says Request() (someone waits) or Ride() (nobody does).
/// A group that somebody waits for begins as soon as the journal is free, or a little later
/// (GatherPolicy). When its turn comes the owner is asked once for all rows that changed since. A
/// failed commit is final: that group and all later ones fail.
///
/// Between commits the journal gets its turns to tidy up (Journal::Maintain), so that commits need
/// not: one soon after a commit, further ones while there is more to do, together a tenth of the
/// time at most. A commit waits for the turn that is under way, some milliseconds.
///
/// All calls on the strand. It may be destroyed while a commit is under way, whose end then goes
/// unnoticed; nobody may wait then.
class GroupCommit {
 public:
  using Group = uint64_t;
  struct Owner {
    std::function<ChangeSet()> collect;     ///< The rows of the group that starts now.
    std::function<void(Group)> on_durable;  ///< Before those who wait for it resume.
  };

  /// @param linger  how long a riding change may stay unwritten when nobody waits for a commit.
  GroupCommit(runtime::Runtime& runtime, std::shared_ptr<Journal> journal, base::Micros linger,
              Owner owner);
  ~GroupCommit();
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  /// Number of the group that a change made now belongs to.
  Group current() const { return started_ + 1; }
  /// Everything up to this group is durable.
  Group durable() const { return durable_; }
  const std::optional<base::Error>& failure() const { return failure_; }

  /// Commits the current group as soon as the one under way is done.
  void Request();
  /// Commits it with the next one, at the latest after the linger time.
  void Ride();
  /// No more turns for the journal: it is about to be closed.
  void Rest();
  /// Suspends until `group` is durable or failed. Does not start its commit.
  runtime::Awaitable<base::Result<>> WaitFor(Group group);

  /// Time of all commits so far together.
  base::Micros spent() const { return spent_; }

 private:
  void GoOn();
  bool Gathers();
  void CancelTimer(runtime::Runtime::TimerId& timer);
  void Begin();
  void Finish(base::Result<> result);
  void MaintainIn(base::Micros delay);
  void Maintain();
  void FinishMaintenance(base::Result<bool> more);
  void Fail(base::Error error);
  template <class Fn>
  auto WhileAlive(Fn fn);

  runtime::Runtime& runtime_;
  std::shared_ptr<Journal> journal_;
  base::Micros linger_;
  Owner owner_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  std::shared_ptr<runtime::Event> gathering_;  // of the group current()
  std::shared_ptr<runtime::Event> in_flight_;  // null: no commit under way
  base::SteadyTime began_;                     // what the journal does now
  base::Micros spent_{0};
  Group started_ = 0;
  Group durable_ = 0;
  bool requested_ = false;
  bool scheduled_ = false;
  GatherPolicy policy_;
  size_t requests_ = 0;  // of the group current()
  size_t members_ = 0;   // of the one under way
  runtime::Runtime::TimerId gather_timer_ = 0;
  runtime::Runtime::TimerId linger_timer_ = 0;
  runtime::Runtime::TimerId maintenance_timer_ = 0;
  bool maintenance_due_ = false;
  bool maintaining_ = false;
  bool resting_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace inferq::queue
