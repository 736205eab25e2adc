#pragma once

#include <array>
#include <optional>

#include "sched/id_table.h"
#include "sched/scheduler.h"
#include "sched/treap.h"

namespace inferq::sched {

struct Tenant;
struct Lane;
class WaitingTasks;

/// A deadline; only tasks that have one pay for it.
struct Deadline {
  base::WallTime at;
  Links by_due_after;
};

/// A waiting task as the indexed scheduler keeps it: two cache lines, the trees it is in included.
struct alignas(64) Item {
  model::TaskId id;
  Key key = 0;
  Links by_key;  ///< Of the tree of due work while it is due.
  uint32_t by_key_size = 1;
  Handle self = kNone;
  Handle deadline = kNone;  ///< In TaskStore::deadlines.
  bool alone = false;
  bool due = false;
  bool interactive = false;
  bool parked = false;  ///< Its batch is paused: it is in no tree.
  base::Micros expected_run{0};
  model::TokenCount cost = 1;
  WaitingTasks* home = nullptr;

  model::LocalityKey locality{};
  Links alike;
  Key alike_first_key = 0;     ///< The smallest of the subtree,
  Handle alike_first = kNone;  ///< and whose it is; the smallest id of those.
  Handle batch_before = kNone, batch_after = kNone;
  Handle batch = kNone;  ///< In the scheduler's batches.
};
static_assert(sizeof(Item) == 128);

/// Where tasks are kept, at fixed addresses.
struct TaskStore {
  Pool<Item> items;
  Pool<Deadline> deadlines;

  Deadline& DeadlineOf(const Item& item) { return deadlines[item.deadline]; }
  /// It is due at every later time than this. It has a deadline.
  base::WallTime DueAfter(const Item& item) const {
    return deadlines[item.deadline].at - item.expected_run;
  }
  bool IsDue(const Item& item, base::WallTime now) const {
    return item.deadline != kNone && DueAfter(item) < now;
  }
};

/// Order of a Treap of items, see there; what all have in common.
struct ItemOrder {
  TaskStore* store;

  Item& ItemAt(Handle h) const { return store->items[h]; }
  static uint64_t Priority(Handle h) { return Scatter(h); }
};

/// Counts its subtrees.
struct CountedOrder : ItemOrder {
  Links& At(Handle h) const { return ItemAt(h).by_key; }
  size_t Size(Handle h) const { return h == kNone ? 0 : ItemAt(h).by_key_size; }
  void Update(Handle h) const;
  void Gained(Handle h, Handle) const { ++ItemAt(h).by_key_size; }
  void Lost(Handle h, Handle) const { --ItemAt(h).by_key_size; }
};

struct KeyOrder : CountedOrder {
  bool Less(Handle a, Handle b) const;
};

struct DeadlineOrder : CountedOrder {
  bool Less(Handle a, Handle b) const;
};

struct DueAfterOrder : ItemOrder {
  Links& At(Handle h) const { return store->DeadlineOf(ItemAt(h)).by_due_after; }
  bool Less(Handle a, Handle b) const;
  void Update(Handle) const {}
  void Gained(Handle, Handle) const {}
  void Lost(Handle, Handle) const {}
};

/// By locality key; knows the task with the smallest key of each subtree.
struct AlikeOrder : ItemOrder {
  Links& At(Handle h) const { return ItemAt(h).alike; }
  bool Less(Handle a, Handle b) const;
  void Update(Handle h) const;
  void Gained(Handle h, Handle added) const;
  void Lost(Handle h, Handle taken) const;
  /// The first of h's subtree is that of `of`'s, if that goes before.
  void Improve(Item& item, const Item& of) const;
};

/// Waiting tasks in order: what is due by deadline, the rest by key. Which is which follows the
/// time given to Advance, so each task moves once (and back if the clock is set back).
class TaskOrder {
 public:
  TaskOrder(TaskStore& store, const OrderPolicy& policy);

  void Insert(Item& item);
  void Erase(Item& item);
  void Advance(base::WallTime now);

  size_t size() const { return SizeOf(by_key_) + SizeOf(due_); }
  /// The due task with the earliest deadline; null when none is due.
  Item* FirstDue() const { return ItemAt(due_.First()); }
  /// The task with the smallest key of those not due; null when there is none.
  Item* FirstByKey() const;
  /// The first of those not due whose locality key begins with the first `length` parts (>= 1) of
  /// `prefix`; null when none does. Only where there is a prefix window.
  Item* FirstAlike(const model::LocalityKey& prefix, size_t length) const;
  /// How many of these go before `item`, which may be of another order or of none, if it is `due`
  /// or not.
  uint64_t Ahead(const Item& item, bool due) const;

 private:
  template <class Tree>
  static size_t SizeOf(const Tree& tree) {
    return tree.order().Size(tree.root());
  }
  Item* ItemAt(Handle handle) const { return handle == kNone ? nullptr : &store_->items[handle]; }
  void InsertByKey(Item& item);
  void EraseByKey(Item& item);
  void MoveToDue(Item& item);
  void MoveFromDue(Item& item);

  TaskStore* store_;
  bool keeps_alike_;               ///< There is a prefix window.
  Treap<KeyOrder> by_key_;         // not due
  Treap<AlikeOrder> alike_;        // the same by locality
  Treap<DueAfterOrder> upcoming_;  // those of them with a deadline
  Treap<DeadlineOrder> due_;
  Treap<DueAfterOrder> became_due_;  // the same by when they became due
};

/// Which tasks a pick considers.
enum class Kind : uint8_t { kAll, kInteractive };
inline constexpr std::array kKinds = {Kind::kAll, Kind::kInteractive};

/// A candidate that shares `length` parts of the locality key with the task before.
struct Alike {
  Item* item = nullptr;
  size_t length = 0;
};

/// The waiting tasks of one tenant in one lane that no paused batch holds. Interactive ones have an
/// order of their own, so that a pick of only those never looks at the others.
class WaitingTasks {
 public:
  WaitingTasks(Tenant& t, Lane& l, TaskStore& store, const OrderPolicy& policy)
      : tenant(t),
        lane(l),
        store_(store),
        policy_(policy),
        other_(store, policy),
        interactive_(store, policy) {}

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
  /// The one of those not due that shares most of the locality key with the task before, with a key
  /// of at most `limit`.
  Alike FirstAlike(Key limit) const;
  /// How many of all go before it, if it is `due` or not.
  uint64_t Ahead(const Item& item, bool due) const {
    return other_.Ahead(item, due) + interactive_.Ahead(item, due);
  }

  /// Whether due work may go before the other work of this lane once more.
  bool DueMayGoFirst() const;
  /// Notes a choice between due work and this lane's other work.
  void NoteChoice(bool due) { choices_ = choices_ << 1 | (due ? 1 : 0); }
  /// The next FirstAlike follows this one.
  void Follow(const model::LocalityKey& locality) { before_ = locality; }

  Tenant& tenant;
  Lane& lane;
  // Of TenantOrder:
  std::array<bool, kKinds.size()> listed{};  ///< In lane.eligible of that kind.
  size_t counted = 0;                        ///< Part of lane.waiting.
  bool guaranteed = false;                   ///< In lane.guaranteed.
  double mark = 0;                           ///< On the scale of lane.gave.

 private:
  TaskOrder& OrderOf(const Item& item) { return item.interactive ? interactive_ : other_; }

  const TaskStore& store_;
  const OrderPolicy& policy_;
  TaskOrder other_;
  TaskOrder interactive_;
  model::LocalityKey before_{};  ///< Of the task picked last by rule 3.
  uint64_t choices_ = 0;         ///< The newest in bit 0; set: due work went first.
};

/// Of two tasks, either of which may be missing, the one that goes first.
Item* EarlierDeadline(const TaskStore& store, Item* a, Item* b);
Item* SmallerKey(Item* a, Item* b);

}  // namespace inferq::sched
