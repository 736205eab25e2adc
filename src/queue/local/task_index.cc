#include "queue/local/task_index.h"

#include <algorithm>
#include <numeric>

namespace inferq::queue {

using model::BatchId;
using model::TaskId;

uint64_t QueueStats::total() const {
  return std::accumulate(std::begin(by_state), std::end(by_state), uint64_t{0});
}

void IdRanges::Append(TaskId first, TaskId last) {
  if (!ranges_.empty() && ranges_.back().second + 1 == first.value) {
    ranges_.back().second = last.value;
  } else {
    ranges_.emplace_back(first.value, last.value);
  }
}

std::optional<TaskId> IdRanges::Next(TaskId after) const {
  auto range =
      std::ranges::upper_bound(ranges_, after.value, {}, &std::pair<uint64_t, uint64_t>::second);
  if (range == ranges_.end()) return std::nullopt;
  return TaskId{std::max(range->first, after.value + 1)};
}

void TaskIndex::Add(TaskId first, TaskId last, NameId tenant, BatchId batch) {
  ForGroups(tenant, batch, [=](TaskGroup& group) { group.ids.Append(first, last); });
  if (batch) batches_[batch].tenant = tenant;
}

void TaskIndex::AddFinish(uint64_t sequence, TaskId id, NameId tenant, BatchId batch) {
  ForGroups(tenant, batch,
            [=](TaskGroup& group) { group.finished.push_back(Finish{sequence, id}); });
}

void TaskIndex::Count(NameId tenant, BatchId batch, std::optional<model::State> from,
                      std::optional<model::State> to, uint64_t count) {
  ForGroups(tenant, batch, [=](TaskGroup& group) {
    if (from) group.stats.by_state[static_cast<size_t>(*from)] -= count;
    if (to) group.stats.by_state[static_cast<size_t>(*to)] += count;
  });
}

void TaskIndex::CountAttempt(NameId tenant, BatchId batch) {
  ForGroups(tenant, batch, [](TaskGroup& group) { ++group.stats.attempts; });
}

const TaskGroup* TaskIndex::Find(std::optional<NameId> tenant, std::optional<BatchId> batch) const {
  if (batch) {
    auto found = batches_.find(*batch);
    if (found == batches_.end()) return nullptr;
    return !tenant || *tenant == found->second.tenant ? &found->second.group : nullptr;
  }
  if (!tenant) return &all_;
  auto found = tenants_.find(*tenant);
  return found == tenants_.end() ? nullptr : &found->second;
}

std::optional<NameId> TaskIndex::TenantOf(BatchId batch) const {
  auto found = batches_.find(batch);
  return found == batches_.end() ? std::nullopt : std::optional(found->second.tenant);
}

}  // namespace inferq::queue
