#pragma once

#include <vector>

#include "model/ids.h"
#include "sched/pool.h"

namespace inferq::sched {

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers give unlike ones.
inline uint64_t Scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Finds pooled objects by their `id` in 6 to 12 bytes each: an open table of handles alone, with
/// linear probing; the ids are read where they are.
template <class T>
class IdTable {
 public:
  explicit IdTable(const Pool<T>& pool) : pool_(pool), slots_(kLeastSlots, kNone) {}

  size_t size() const { return size_; }

  /// kNone when there is none.
  Handle Find(model::TaskId id) const { return slots_[SlotOf(id)]; }

  /// Its id must not be in the table.
  void Insert(Handle handle) {
    if ((size_ + 1) * 3 > slots_.size() * 2) Resize(slots_.size() * 2);
    slots_[SlotOf(pool_[handle].id)] = handle;
    ++size_;
  }

  /// Its id must be in the table. Those behind it that could not have their place move up.
  void Erase(model::TaskId id) {
    size_t gap = SlotOf(id);
    for (size_t at = Next(gap); slots_[at] != kNone; at = Next(at)) {
      size_t wanted = HomeOf(pool_[slots_[at]].id);
      if (Distance(wanted, at) < Distance(gap, at)) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = kNone;
    --size_;
  }

 private:
  static constexpr size_t kLeastSlots = 16;

  size_t HomeOf(model::TaskId id) const { return Scatter(id.value) & (slots_.size() - 1); }
  size_t Next(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
  size_t Distance(size_t from, size_t to) const { return (to - from) & (slots_.size() - 1); }

  /// Where it is, or the free slot where it would go.
  size_t SlotOf(model::TaskId id) const {
    size_t slot = HomeOf(id);
    while (slots_[slot] != kNone && pool_[slots_[slot]].id != id) slot = Next(slot);
    return slot;
  }

  void Resize(size_t slots) {
    std::vector<Handle> old(slots, kNone);
    old.swap(slots_);
    for (Handle handle : old) {
      if (handle != kNone) slots_[SlotOf(pool_[handle].id)] = handle;
    }
  }

  const Pool<T>& pool_;
  std::vector<Handle> slots_;  ///< A power of two of them, at most two thirds in use.
  size_t size_ = 0;
};

}  // namespace inferq::sched
