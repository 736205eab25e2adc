#include "service/ingest/id_set.h"

#include <algorithm>

namespace inferq::ingest {

IdSet::Slot& IdSet::Find(std::vector<Slot>& slots, const wire::Hash128& hash) {
  size_t i = hash.low & (slots.size() - 1);
  while (slots[i].line != 0 && slots[i].hash != hash) i = (i + 1) & (slots.size() - 1);
  return slots[i];
}

void IdSet::Grow() {
  std::vector<Slot> larger(std::max(slots_.size() * 2, size_t{1024}));
  for (const Slot& slot : slots_) {
    if (slot.line != 0) Find(larger, slot.hash) = slot;
  }
  slots_ = std::move(larger);
}

std::optional<uint64_t> IdSet::Insert(std::string_view id, uint64_t line) {
  if (used_ >= slots_.size() / 4 * 3) Grow();
  wire::Hash128 hash = wire::HashBytes(id);
  Slot& slot = Find(slots_, hash);
  if (slot.line != 0) return slot.line;
  slot = {hash, line};
  ++used_;
  return std::nullopt;
}

}  // namespace inferq::ingest
