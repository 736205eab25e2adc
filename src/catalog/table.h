#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "catalog/catalog.h"
#include "catalog/overlay.h"

namespace inferq::catalog {

/// Records by id, and by tenant in order of their sequence.
template <class Record>
class Table {
 public:
  /// nullptr: none. Valid until the record is changed.
  const Record* Find(const std::string& id) const {
    auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : &records_.at(found->second);
  }

  /// False: the id or the sequence is another record's already.
  bool Add(Record record) {
    uint64_t sequence = record.sequence;
    if (records_.contains(sequence)) return false;
    if (!sequences_.emplace(record.id, sequence).second) return false;
    tenants_[record.tenant].insert(sequence);
    records_.emplace(sequence, std::move(record));
    return true;
  }

  /// Makes the changes, which are consumed.
  void Apply(Overlay<Record>& overlay) {
    for (auto& [id, change] : overlay.changes()) Apply(id, std::move(change));
  }

  void ForEach(const std::function<void(const Record&)>& fn) const {
    for (const auto& [sequence, record] : records_) fn(record);
  }

  /// Those for which `matches`.
  template <class Matches>
  base::Result<Page<Record>> List(const ListRequest& request, Matches matches) const {
    uint64_t after = 0;
    if (!request.after.empty()) {
      const Record* cursor = Find(request.after);
      if (cursor == nullptr || cursor->tenant != request.tenant) {
        return base::Fail(base::Code::kNotFound, "\"{}\" does not exist", request.after);
      }
      after = cursor->sequence;
    }
    auto tenant = tenants_.find(request.tenant);
    if (tenant == tenants_.end()) return Page<Record>{};
    const std::set<uint64_t>& all = tenant->second;
    Page<Record> page;
    auto take = [&](uint64_t sequence) {  // false: the page is full
      const Record& record = records_.at(sequence);
      if (!matches(record)) return true;
      page.has_more = page.records.size() == request.limit;
      if (!page.has_more) page.records.push_back(record);
      return !page.has_more;
    };
    if (request.order == ListOrder::kOldestFirst) {
      std::find_if_not(all.upper_bound(after), all.end(), take);
    } else {
      auto end = after == 0 ? all.end() : all.lower_bound(after);
      std::find_if_not(std::make_reverse_iterator(end), all.rend(), take);
    }
    return page;
  }

 private:
  void Apply(const std::string& id, Overlay<Record>::Change change) {
    auto found = sequences_.find(id);
    if (change.record && found != sequences_.end()) {
      records_.at(found->second) = *std::move(change.record);
    } else if (change.record) {
      bool added = Add(*std::move(change.record));
      INFERQ_CHECK(added);
    } else if (found != sequences_.end()) {
      Forget(found->second);
    }
  }

  void Forget(uint64_t sequence) {
    auto record = records_.find(sequence);
    auto tenant = tenants_.find(record->second.tenant);
    tenant->second.erase(sequence);
    if (tenant->second.empty()) tenants_.erase(tenant);
    sequences_.erase(record->second.id);
    records_.erase(record);
  }

  std::map<uint64_t, Record> records_;                   // by sequence
  std::unordered_map<std::string, uint64_t> sequences_;  // by id
  std::unordered_map<std::string, std::set<uint64_t>> tenants_;
};

}  // namespace inferq::catalog
