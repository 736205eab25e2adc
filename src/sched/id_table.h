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

/// Finds pooled objects by their `id` in 12 to 24 bytes each: an open table with linear probing. A
/// part of the hash is kept, so that what is not wanted is seldom looked at.
template <class T>
class IdTable {
 public:
  explicit IdTable(const Pool<T>& pool) : pool_(pool), slots_(kLeastSlots) {}

  size_t size() const { return size_; }

  /// kNone when there is none.
  Handle Find(model::TaskId id) const { return slots_[Locate(id)].handle; }

  /// Its id must not be in the table.
  void Insert(Handle handle) {
    if ((size_ + 1) * 3 > slots_.size() * 2) Resize(slots_.size() * 2);
    model::TaskId id = pool_[handle].id;
    slots_[Locate(id)] = {handle, HashOf(id)};
    ++size_;
  }

  /// Its id must be in the table. Those behind it that could not have their place move up.
  void Erase(model::TaskId id) {
    size_t gap = Locate(id);
    for (size_t at = Next(gap); slots_[at].handle != kNone; at = Next(at)) {
      size_t wanted = PlaceOf(slots_[at].hash);
      if (Distance(wanted, at) < Distance(gap, at)) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = {};
    --size_;
  }

 private:
  static constexpr size_t kLeastSlots = 16;

  struct Slot {
    Handle handle = kNone;
    uint32_t hash = 0;
  };

  static uint32_t HashOf(model::TaskId id) { return static_cast<uint32_t>(Scatter(id.value)); }
  size_t PlaceOf(uint32_t hash) const { return hash & (slots_.size() - 1); }
  size_t Next(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
  size_t Distance(size_t from, size_t to) const { return (to - from) & (slots_.size() - 1); }

  bool Holds(const Slot& slot, model::TaskId id, uint32_t hash) const {
    return slot.hash == hash && pool_[slot.handle].id == id;
  }
  /// Where it is, or the free slot where it would go.
  size_t Locate(model::TaskId id) const {
    uint32_t hash = HashOf(id);
    size_t at = PlaceOf(hash);
    while (slots_[at].handle != kNone && !Holds(slots_[at], id, hash)) at = Next(at);
    return at;
  }

  void Resize(size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.handle == kNone) continue;
      size_t at = PlaceOf(slot.hash);
      while (slots_[at].handle != kNone) at = Next(at);
      slots_[at] = slot;
    }
  }

  const Pool<T>& pool_;
  std::vector<Slot> slots_;  ///< A power of two of them, at most two thirds in use.
  size_t size_ = 0;
};

}  // namespace inferq::sched
