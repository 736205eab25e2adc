#include "sched/waiting_tasks.h"

#include <bit>
#include <tuple>

namespace inferq::sched {

namespace {

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers give unlike ones.
uint64_t Scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

Slot ByKey(Item& item) { return {item.key, item.id, &item}; }
Slot ByDueAfter(Item& item) { return {item.due_after(), item.id, &item}; }
Slot ByDeadline(Item& item) { return {item.deadline->time_since_epoch().count(), item.id, &item}; }

/// Calls `visit` for each prefix of `locality`, the longest first, until it returns true.
template <class Fn>
void ForEachPrefix(model::LocalityKey locality, Fn visit) {
  size_t length = 0;
  while (length < locality.size() && locality[length] != 0) ++length;
  for (size_t i = length; i < locality.size(); ++i) locality[i] = 0;
  for (; length > 0; locality[--length] = 0) {
    if (visit(locality)) return;
  }
}

}  // namespace

uint64_t Slot::Hash() const { return Scatter(id.value); }

size_t PrefixHash::operator()(const model::LocalityKey& prefix) const {
  uint64_t hash = 0;
  for (uint64_t part : prefix) hash = Scatter(hash ^ part);
  return hash;
}

void TaskOrder::InsertByKey(Item& item) {
  by_key_.Insert(ByKey(item));
  if (policy_.prefix_window.count() == 0) return;
  ForEachPrefix(item.locality, [&](const model::LocalityKey& prefix) {
    alike_[prefix].insert(ByKey(item));
    return false;
  });
}

void TaskOrder::EraseByKey(Item& item) {
  by_key_.Erase(ByKey(item));
  if (policy_.prefix_window.count() == 0) return;
  ForEachPrefix(item.locality, [&](const model::LocalityKey& prefix) {
    auto found = alike_.find(prefix);
    found->second.erase(ByKey(item));
    if (found->second.empty()) alike_.erase(found);
    return false;
  });
}

void TaskOrder::Insert(Item& item) {
  item.due = false;
  InsertByKey(item);
  if (item.deadline) upcoming_.insert(ByDueAfter(item));
}

void TaskOrder::Erase(Item& item) {
  if (item.due) MoveFromDue(item);
  EraseByKey(item);
  if (item.deadline) upcoming_.erase(ByDueAfter(item));
}

void TaskOrder::MoveToDue(Item& item) {
  upcoming_.erase(ByDueAfter(item));
  EraseByKey(item);
  due_.Insert(ByDeadline(item));
  became_due_.insert(ByDueAfter(item));
  item.due = true;
}

void TaskOrder::MoveFromDue(Item& item) {
  became_due_.erase(ByDueAfter(item));
  due_.Erase(ByDeadline(item));
  item.due = false;
  InsertByKey(item);
  upcoming_.insert(ByDueAfter(item));
}

void TaskOrder::Advance(base::WallTime now) {
  int64_t time = now.time_since_epoch().count();
  while (!upcoming_.empty() && upcoming_.begin()->rank < time) MoveToDue(*upcoming_.begin()->item);
  while (!became_due_.empty() && became_due_.rbegin()->rank >= time) {
    MoveFromDue(*became_due_.rbegin()->item);
  }
}

Item* TaskOrder::FirstAlike(const model::LocalityKey& prefix) const {
  if (alike_.empty()) return nullptr;  // mostly so for interactive ones: spare the hash
  auto found = alike_.find(prefix);
  return found == alike_.end() ? nullptr : found->second.begin()->item;
}

uint64_t TaskOrder::Ahead(const Item& item) const {
  Item probe = item;
  if (item.due) return due_.CountLess(ByDeadline(probe));
  return due_.size() + by_key_.CountLess(ByKey(probe));
}

Item* EarlierDeadline(Item* a, Item* b) {
  if (!a || !b) return a ? a : b;
  return std::tie(*b->deadline, b->id) < std::tie(*a->deadline, a->id) ? b : a;
}

Item* SmallerKey(Item* a, Item* b) {
  if (!a || !b) return a ? a : b;
  return std::tie(b->key, b->id) < std::tie(a->key, a->id) ? b : a;
}

void WaitingTasks::Advance(base::WallTime now, Kind kind) {
  interactive_.Advance(now);
  if (kind == Kind::kAll) other_.Advance(now);
}

Item* WaitingTasks::FirstDue(Kind kind) const {
  if (kind == Kind::kInteractive) return interactive_.FirstDue();
  return EarlierDeadline(other_.FirstDue(), interactive_.FirstDue());
}

Item* WaitingTasks::FirstByKey(Kind kind) const {
  if (kind == Kind::kInteractive) return interactive_.FirstByKey();
  return SmallerKey(other_.FirstByKey(), interactive_.FirstByKey());
}

Item* WaitingTasks::Alike(const model::LocalityKey& locality, Key limit, Kind kind) const {
  Item* best = nullptr;
  ForEachPrefix(locality, [&](const model::LocalityKey& prefix) {
    Item* first = interactive_.FirstAlike(prefix);
    if (kind == Kind::kAll) first = SmallerKey(first, other_.FirstAlike(prefix));
    if (first && first->key <= limit) best = first;
    return best != nullptr;
  });
  return best;
}

bool WaitingTasks::DueMayGoFirst() const {
  uint32_t window = policy_.due_quota_window;
  if (window < 2) return false;
  uint64_t recent = choices_ & ((uint64_t{1} << (window - 1)) - 1);
  return static_cast<uint32_t>(std::popcount(recent)) + 1 <= window / 2;
}

}  // namespace inferq::sched
