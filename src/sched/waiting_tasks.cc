#include "sched/waiting_tasks.h"

#include <algorithm>
#include <bit>
#include <compare>
#include <tuple>

namespace inferq::sched {

namespace {

/// How many parts a locality key has.
size_t Length(const model::LocalityKey& locality) {
  return static_cast<size_t>(std::ranges::find(locality, 0u) - locality.begin());
}

std::strong_ordering ComparePrefix(const model::LocalityKey& locality,
                                   const model::LocalityKey& prefix, size_t length) {
  auto parts = static_cast<ptrdiff_t>(length);
  return std::lexicographical_compare_three_way(locality.begin(), locality.begin() + parts,
                                                prefix.begin(), prefix.begin() + parts);
}

}  // namespace

Item* SmallerKey(Item* a, Item* b) {
  if (!a || !b) return a ? a : b;
  return std::tie(b->key, b->id) < std::tie(a->key, a->id) ? b : a;
}

Item* EarlierDeadline(const TaskStore& store, Item* a, Item* b) {
  if (!a || !b) return a ? a : b;
  base::WallTime a_at = store.deadlines[a->deadline].at;
  base::WallTime b_at = store.deadlines[b->deadline].at;
  return std::tie(b_at, b->id) < std::tie(a_at, a->id) ? b : a;
}

void CountedOrder::Update(Handle h) const {
  const Links& links = At(h);
  ItemAt(h).by_key_size = static_cast<uint32_t>(1 + Size(links.left) + Size(links.right));
}

bool KeyOrder::Less(Handle a, Handle b) const {
  const Item& x = ItemAt(a);
  const Item& y = ItemAt(b);
  return x.key != y.key ? x.key < y.key : x.id < y.id;
}

bool DeadlineOrder::Less(Handle a, Handle b) const {
  const Item& x = ItemAt(a);
  const Item& y = ItemAt(b);
  base::WallTime x_at = store->DeadlineOf(x).at;
  base::WallTime y_at = store->DeadlineOf(y).at;
  return x_at != y_at ? x_at < y_at : x.id < y.id;
}

bool DueAfterOrder::Less(Handle a, Handle b) const {
  const Item& x = ItemAt(a);
  const Item& y = ItemAt(b);
  base::WallTime x_after = store->DueAfter(x);
  base::WallTime y_after = store->DueAfter(y);
  return x_after != y_after ? x_after < y_after : x.id < y.id;
}

bool AlikeOrder::Less(Handle a, Handle b) const {
  const Item& x = ItemAt(a);
  const Item& y = ItemAt(b);
  auto order = x.locality <=> y.locality;
  return order != 0 ? order < 0 : x.id < y.id;
}

void AlikeOrder::Improve(Item& item, const Item& of) const {
  if (of.alike_first_key > item.alike_first_key) return;
  bool tie = of.alike_first_key == item.alike_first_key;
  if (tie && ItemAt(item.alike_first).id < ItemAt(of.alike_first).id) return;
  item.alike_first_key = of.alike_first_key;
  item.alike_first = of.alike_first;
}

void AlikeOrder::Update(Handle h) const {
  Item& item = ItemAt(h);
  item.alike_first_key = item.key;
  item.alike_first = h;
  for (Handle child : {item.alike.left, item.alike.right}) {
    if (child != kNone) Improve(item, ItemAt(child));
  }
}

void AlikeOrder::Gained(Handle h, Handle added) const {
  if (ItemAt(added).key <= ItemAt(h).alike_first_key) Update(h);
}

void AlikeOrder::Lost(Handle h, Handle taken) const {
  if (ItemAt(h).alike_first == taken) Update(h);
}

TaskOrder::TaskOrder(TaskStore& store, const OrderPolicy& policy)
    : store_(&store),
      keeps_alike_(policy.prefix_window.count() > 0),
      by_key_(KeyOrder{{{&store}}}),
      alike_(AlikeOrder{{&store}}),
      upcoming_(DueAfterOrder{{&store}}),
      due_(DeadlineOrder{{{&store}}}),
      became_due_(DueAfterOrder{{&store}}) {}

void TaskOrder::InsertByKey(Item& item) {
  by_key_.Insert(item.self);
  if (keeps_alike_) alike_.Insert(item.self);
}

void TaskOrder::EraseByKey(Item& item) {
  by_key_.Erase(item.self);
  if (keeps_alike_) alike_.Erase(item.self);
}

void TaskOrder::Insert(Item& item) {
  item.due = false;
  InsertByKey(item);
  if (item.deadline != kNone) upcoming_.Insert(item.self);
}

void TaskOrder::Erase(Item& item) {
  if (item.due) {
    became_due_.Erase(item.self);
    due_.Erase(item.self);
    item.due = false;
    return;
  }
  EraseByKey(item);
  if (item.deadline != kNone) upcoming_.Erase(item.self);
}

void TaskOrder::MoveToDue(Item& item) {
  upcoming_.Erase(item.self);
  EraseByKey(item);
  due_.Insert(item.self);
  became_due_.Insert(item.self);
  item.due = true;
}

void TaskOrder::MoveFromDue(Item& item) {
  Erase(item);
  Insert(item);
}

void TaskOrder::Advance(base::WallTime now) {
  for (Item* next; (next = ItemAt(upcoming_.First())) && store_->IsDue(*next, now);) {
    MoveToDue(*next);
  }
  for (Item* last; (last = ItemAt(became_due_.Last())) && !store_->IsDue(*last, now);) {
    MoveFromDue(*last);
  }
}

Item* TaskOrder::FirstByKey() const {
  if (!keeps_alike_) return ItemAt(by_key_.First());
  return alike_.empty() ? nullptr : ItemAt(ItemAt(alike_.root())->alike_first);
}

Item* TaskOrder::FirstAlike(const model::LocalityKey& prefix, size_t length) const {
  auto side = [&](const Item& item) { return ComparePrefix(item.locality, prefix, length); };
  auto first_of = [&](Handle tree) {
    return tree == kNone ? nullptr : ItemAt(ItemAt(tree)->alike_first);
  };
  Item* top = ItemAt(alike_.root());
  while (top && side(*top) != 0) {
    top = ItemAt(side(*top) < 0 ? top->alike.right : top->alike.left);
  }
  if (!top) return nullptr;
  Item* first = top;
  for (Item* at = ItemAt(top->alike.left); at;) {
    bool inside = side(*at) == 0;
    if (inside) first = SmallerKey(SmallerKey(first, at), first_of(at->alike.right));
    at = ItemAt(inside ? at->alike.left : at->alike.right);
  }
  for (Item* at = ItemAt(top->alike.right); at;) {
    bool inside = side(*at) == 0;
    if (inside) first = SmallerKey(SmallerKey(first, at), first_of(at->alike.left));
    at = ItemAt(inside ? at->alike.right : at->alike.left);
  }
  return first;
}

uint64_t TaskOrder::Ahead(const Item& item, bool due) const {
  if (due) return due_.CountLess(item.self);
  return SizeOf(due_) + by_key_.CountLess(item.self);
}

void WaitingTasks::Advance(base::WallTime now, Kind kind) {
  interactive_.Advance(now);
  if (kind == Kind::kAll) other_.Advance(now);
}

Item* WaitingTasks::FirstDue(Kind kind) const {
  Item* first = interactive_.FirstDue();
  if (kind == Kind::kInteractive) return first;
  return EarlierDeadline(store_, other_.FirstDue(), first);
}

Item* WaitingTasks::FirstByKey(Kind kind) const {
  if (kind == Kind::kInteractive) return interactive_.FirstByKey();
  return SmallerKey(other_.FirstByKey(), interactive_.FirstByKey());
}

Alike WaitingTasks::FirstAlike(Key limit) const {
  for (size_t length = Length(before_); length > 0; --length) {
    Item* first =
        SmallerKey(other_.FirstAlike(before_, length), interactive_.FirstAlike(before_, length));
    if (first && first->key <= limit) return {first, length};
  }
  return {};
}

bool WaitingTasks::DueMayGoFirst() const {
  uint32_t window = policy_.due_quota_window;
  if (window < 2) return false;
  uint64_t recent = choices_ & ((uint64_t{1} << (window - 1)) - 1);
  return static_cast<uint32_t>(std::popcount(recent)) + 1 <= window / 2;
}

}  // namespace inferq::sched
