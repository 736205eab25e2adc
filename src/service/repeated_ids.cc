#include "service/repeated_ids.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace inferq::service {

using base::Result;

namespace {

constexpr size_t kEntriesInMemory = 1024;  // of a part

}  // namespace

Result<> RepeatedIds::Add(std::string_view id, uint64_t line) {
  wire::Hash128 hash = wire::HashBytes(id);
  Part& part = parts_[hash.high % kParts];
  part.newest.push_back({hash, line});
  return part.newest.size() < kEntriesInMemory ? Result<>() : Flush(part);
}

Result<> RepeatedIds::Flush(Part& part) {
  if (blob_ == 0) {
    INFERQ_ASSIGN(blob_, blobs_.Create());
  }
  std::string_view bytes(reinterpret_cast<const char*>(part.newest.data()),
                         part.newest.size() * sizeof(Entry));
  INFERQ_ASSIGN(model::Extent extent, blobs_.Append(blob_, bytes));
  part.written.push_back(extent);
  part.newest.clear();
  return {};
}

Result<std::vector<RepeatedIds::Entry>> RepeatedIds::Load(Part& part) {
  std::vector<Entry> entries = std::exchange(part.newest, {});
  for (const model::Extent& extent : part.written) {
    INFERQ_ASSIGN(std::string bytes, blobs_.Read(extent));
    size_t before = entries.size();
    entries.resize(before + bytes.size() / sizeof(Entry));
    std::memcpy(static_cast<void*>(entries.data() + before), bytes.data(), bytes.size());
  }
  part.written.clear();
  return entries;
}

Result<RepeatedIds::Found> RepeatedIds::Finish(size_t limit) {
  Found found;
  auto by_line = [](const Repeat& a, const Repeat& b) { return a.line < b.line; };
  for (Part& part : parts_) {
    INFERQ_ASSIGN(std::vector<Entry> entries, Load(part));
    std::ranges::sort(entries, {}, [](const Entry& entry) {
      return std::tuple(entry.hash.high, entry.hash.low, entry.line);
    });
    uint64_t first = 0;
    for (size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].hash != entries[i - 1].hash) continue;
      bool second = i < 2 || entries[i].hash != entries[i - 2].hash;
      if (second) first = entries[i - 1].line;
      ++found.count;
      found.repeats.push_back({entries[i].line, first});  // a heap: the greatest line on top
      std::ranges::push_heap(found.repeats, by_line);
      if (found.repeats.size() <= limit) continue;
      std::ranges::pop_heap(found.repeats, by_line);
      found.repeats.pop_back();
    }
  }
  std::ranges::sort(found.repeats, by_line);
  INFERQ_TRY(Discard());
  return found;
}

Result<> RepeatedIds::Discard() {
  return blob_ == 0 ? Result<>() : blobs_.Delete(std::exchange(blob_, 0));
}

}  // namespace inferq::service
