#include "queue/local/task_index.h"

#include <algorithm>
#include <numeric>

namespace inferq::queue {

using model::BatchId;
using model::TaskId;

uint64_t QueueStats::total() const {
  return std::accumulate(std::begin(by_state), std::end(by_state), uint64_t{0});
}

void IdRanges::Append(TaskId id) {
  if (!ranges_.empty() && ranges_.back().second + 1 == id.value) {
    ++ranges_.back().second;
  } else {
    ranges_.emplace_back(id.value, id.value);
  }
}

std::optional<TaskId> IdRanges::Next(TaskId after) const {
  auto range =
      std::ranges::upper_bound(ranges_, after.value, {}, &std::pair<uint64_t, uint64_t>::second);
  if (range == ranges_.end()) return std::nullopt;
  return TaskId{std::max(range->first, after.value + 1)};
}

template <class Fn>
void TaskIndex::ForGroups(NameId tenant, BatchId batch, Fn fn) {
  fn(all_);
  fn(tenants_[tenant]);
  if (batch) fn(batches_[batch].group);
}

void TaskIndex::Add(TaskId id, NameId tenant, BatchId batch) {
  ForGroups(tenant, batch, [id](TaskGroup& group) { group.ids.Append(id); });
  if (batch) batches_[batch].tenant = tenant;
}

void TaskIndex::AddFinish(uint64_t sequence, TaskId id, NameId tenant, BatchId batch) {
  if (finish_log_.size() < sequence) finish_log_.resize(sequence);
  finish_log_[sequence - 1] = id;
  ForGroups(tenant, batch, [sequence](TaskGroup& group) { group.finished.push_back(sequence); });
}

void TaskIndex::Count(NameId tenant, BatchId batch, std::optional<model::State> from,
                      model::State to) {
  ForGroups(tenant, batch, [from, to](TaskGroup& group) {
    if (from) --group.stats.by_state[static_cast<size_t>(*from)];
    ++group.stats.by_state[static_cast<size_t>(to)];
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

TaskId TaskIndex::FinishedAt(uint64_t sequence) const {
  return sequence == 0 || sequence > finish_log_.size() ? TaskId{} : finish_log_[sequence - 1];
}

}  // namespace inferq::queue
