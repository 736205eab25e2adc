#include "sched/waiting_tasks.h"

#include <bit>

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

void WaitingTasks::InsertByKey(Item& item) {
  by_key_.Insert(ByKey(item));
  if (policy_.prefix_window.count() == 0) return;
  ForEachPrefix(item.locality, [&](const model::LocalityKey& prefix) {
    alike_[prefix].insert(ByKey(item));
    return false;
  });
}

void WaitingTasks::EraseByKey(Item& item) {
  by_key_.Erase(ByKey(item));
  if (policy_.prefix_window.count() == 0) return;
  ForEachPrefix(item.locality, [&](const model::LocalityKey& prefix) {
    auto found = alike_.find(prefix);
    found->second.erase(ByKey(item));
    if (found->second.empty()) alike_.erase(found);
    return false;
  });
}

void WaitingTasks::Insert(Item& item) {
  item.due = false;
  InsertByKey(item);
  if (item.deadline) upcoming_.insert(ByDueAfter(item));
}

void WaitingTasks::Erase(Item& item) {
  if (item.due) MoveFromDue(item);
  EraseByKey(item);
  if (item.deadline) upcoming_.erase(ByDueAfter(item));
}

void WaitingTasks::MoveToDue(Item& item) {
  upcoming_.erase(ByDueAfter(item));
  EraseByKey(item);
  due_.Insert(ByDeadline(item));
  became_due_.insert(ByDueAfter(item));
  item.due = true;
}

void WaitingTasks::MoveFromDue(Item& item) {
  became_due_.erase(ByDueAfter(item));
  due_.Erase(ByDeadline(item));
  item.due = false;
  InsertByKey(item);
  upcoming_.insert(ByDueAfter(item));
}

void WaitingTasks::Advance(base::WallTime now) {
  int64_t time = now.time_since_epoch().count();
  while (!upcoming_.empty() && upcoming_.begin()->rank < time) MoveToDue(*upcoming_.begin()->item);
  while (!became_due_.empty() && became_due_.rbegin()->rank >= time) {
    MoveFromDue(*became_due_.rbegin()->item);
  }
}

Item* WaitingTasks::Alike(const model::LocalityKey& locality, Key limit) const {
  Item* best = nullptr;
  ForEachPrefix(locality, [&](const model::LocalityKey& prefix) {
    auto found = alike_.find(prefix);
    if (found != alike_.end() && found->second.begin()->rank <= limit) {
      best = found->second.begin()->item;
    }
    return best != nullptr;
  });
  return best;
}

uint64_t WaitingTasks::Ahead(const Item& item) const {
  Item probe = item;
  if (item.due) return due_.CountLess(ByDeadline(probe));
  return due_.size() + by_key_.CountLess(ByKey(probe));
}

bool WaitingTasks::DueMayGoFirst() const {
  uint32_t window = policy_.due_quota_window;
  if (window < 2) return false;
  uint64_t recent = choices_ & ((uint64_t{1} << (window - 1)) - 1);
  return static_cast<uint32_t>(std::popcount(recent)) + 1 <= window / 2;
}

}  // namespace inferq::sched
