#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace inferq::catalog {

/// Changes of records that are not part of a table yet, the newest of each id.
template <class Record>
class Overlay {
 public:
  struct Change {
    uint64_t sequence = 0;
    std::optional<Record> record;  ///< nullopt: removed.
  };

  /// nullptr: not changed here.
  const Change* Find(const std::string& id) const {
    auto found = changes_.find(id);
    return found == changes_.end() ? nullptr : &found->second;
  }
  void Put(Record record) {
    std::string id = record.id;
    uint64_t sequence = record.sequence;
    changes_.insert_or_assign(std::move(id), Change{sequence, std::move(record)});
  }
  void Remove(const Record& record) {
    std::string id = record.id;  // `record` may be the one that is replaced
    changes_.insert_or_assign(std::move(id), Change{record.sequence, std::nullopt});
  }
  /// Lays `newer` over this one.
  void Merge(Overlay newer) {
    newer.changes_.merge(changes_);  // keeps its own where both have one
    changes_ = std::move(newer.changes_);
  }

  bool empty() const { return changes_.empty(); }
  std::map<std::string, Change>& changes() { return changes_; }
  const std::map<std::string, Change>& changes() const { return changes_; }

 private:
  std::map<std::string, Change> changes_;  // by id
};

}  // namespace inferq::catalog
