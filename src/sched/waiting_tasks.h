#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "sched/ranked_set.h"
#include "sched/scheduler.h"

namespace inferq::sched {

struct Tenant;
struct Lane;
class WaitingTasks;

/// A waiting task as the indexed scheduler keeps it. Lives in the scheduler's table, at a fixed
/// address.
struct Item {
  model::TaskId id;
  Key key = 0;
  std::optional<base::WallTime> deadline;
  base::Micros expected_run{0};
  model::TokenCount cost = 1;
  model::LocalityKey locality{};
  bool alone = false;
  bool due = false;
  bool interactive = false;
  WaitingTasks* home = nullptr;

  /// Due at every later time than this.
  int64_t due_after() const { return (*deadline - expected_run).time_since_epoch().count(); }
};

/// A task's place in one index: by `rank`, then by id.
struct Slot {
  int64_t rank;
  model::TaskId id;
  Item* item;

  uint64_t Hash() const;
  friend bool operator<(const Slot& a, const Slot& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.id < b.id;
  }
};

struct PrefixHash {
  size_t operator()(const model::LocalityKey& prefix) const;
};

/// Waiting tasks in order: what is due by deadline, the rest by key. Which is which follows the
/// time given to Advance, so each task moves once (and back if the clock is set back).
class TaskOrder {
 public:
  explicit TaskOrder(const OrderPolicy& policy) : policy_(policy) {}

  void Insert(Item& item);
  void Erase(Item& item);
  void Advance(base::WallTime now);

  size_t size() const { return by_key_.size() + due_.size(); }
  /// The due task with the earliest deadline; null when none is due.
  Item* FirstDue() const { return due_.empty() ? nullptr : due_.First()->item; }
  /// The task with the smallest key of those not due; null when there is none.
  Item* FirstByKey() const { return by_key_.empty() ? nullptr : by_key_.First()->item; }
  /// The first of those not due whose locality key begins with `prefix`; null when none does.
  Item* FirstAlike(const model::LocalityKey& prefix) const;
  /// How many of these go before `item`, which may be of another order.
  uint64_t Ahead(const Item& item) const;

 private:
  void InsertByKey(Item& item);
  void EraseByKey(Item& item);
  void MoveToDue(Item& item);
  void MoveFromDue(Item& item);

  const OrderPolicy& policy_;
  RankedSet<Slot> by_key_;     // not due
  std::set<Slot> upcoming_;    // not due, with a deadline; by due_after
  RankedSet<Slot> due_;        // by deadline
  std::set<Slot> became_due_;  // the same by due_after
  /// Not due, by key, for each prefix of a locality key (the rest 0). Kept only when there is a
  /// prefix window.
  std::unordered_map<model::LocalityKey, std::set<Slot>, PrefixHash> alike_;
};

/// Which tasks a pick considers.
enum class Kind : uint8_t { kAll, kInteractive };
inline constexpr std::array kKinds = {Kind::kAll, Kind::kInteractive};

/// The waiting tasks of one tenant in one lane. Interactive ones have an order of their own, so
/// that a pick of only those never looks at the others.
class WaitingTasks {
 public:
  WaitingTasks(Tenant& t, Lane& l, const OrderPolicy& policy)
      : tenant(t), lane(l), policy_(policy), other_(policy), interactive_(policy) {}

  void Insert(Item& item) { OrderOf(item).Insert(item); }
  void Erase(Item& item) { OrderOf(item).Erase(item); }
  void Advance(base::WallTime now, Kind kind);

  size_t size(Kind kind) const {
    return interactive_.size() + (kind == Kind::kAll ? other_.size() : 0);
  }
  /// The due task with the earliest deadline; null when none is due.
  Item* FirstDue(Kind kind) const;
  /// The task with the smallest key of those not due; null when there is none.
  Item* FirstByKey(Kind kind) const;
  /// The one of those not due that shares most of `locality`, with a key of at most `limit`; null
  /// when none shares anything.
  Item* Alike(const model::LocalityKey& locality, Key limit, Kind kind) const;
  /// How many of all go before it.
  uint64_t Ahead(const Item& item) const { return other_.Ahead(item) + interactive_.Ahead(item); }

  /// Whether due work may go before the other work of this lane once more.
  bool DueMayGoFirst() const;
  /// Notes a choice between due work and this lane's other work.
  void NoteChoice(bool due) { choices_ = choices_ << 1 | (due ? 1 : 0); }

  Tenant& tenant;
  Lane& lane;
  std::array<bool, kKinds.size()> listed{};  ///< In lane.eligible of that kind.

 private:
  TaskOrder& OrderOf(const Item& item) { return item.interactive ? interactive_ : other_; }

  const OrderPolicy& policy_;
  TaskOrder other_;
  TaskOrder interactive_;
  uint64_t choices_ = 0;  ///< The newest in bit 0; set: due work went first.
};

/// Of two tasks, either of which may be missing, the one that goes first.
Item* EarlierDeadline(Item* a, Item* b);
Item* SmallerKey(Item* a, Item* b);

}  // namespace inferq::sched
