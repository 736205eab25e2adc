#include "queue/local/task_table.h"

#include <algorithm>

#include "base/check.h"

namespace inferq::queue {

using model::TaskId;

std::optional<base::WallTime> Task::WakeTime() const {
  if (!extra) return std::nullopt;
  if (!extra->not_before) return extra->retry_at;
  if (!extra->retry_at) return extra->not_before;
  return std::max(*extra->not_before, *extra->retry_at);
}

Task& TaskTable::Append() { return Insert(Reserve(1)); }

TaskId TaskTable::Reserve(uint64_t count) {
  TaskId first = model::MakeTaskId(shard_, last_ + 1);
  last_ += count;
  return first;
}

Task& TaskTable::Insert(TaskId id) {
  uint64_t sequence = model::SequenceOf(id);
  Page& page = pages_[sequence / kPage];
  auto& slot = page.tasks[sequence % kPage];
  INFERQ_CHECK(slot == nullptr);
  slot = std::make_unique<Task>();
  slot->id = id;
  ++page.count;
  ++count_;
  return *slot;
}

void TaskTable::Erase(TaskId id) {
  uint64_t sequence = model::SequenceOf(id);
  auto page = pages_.find(sequence / kPage);
  INFERQ_CHECK(page != pages_.end() && page->second.tasks[sequence % kPage] != nullptr);
  page->second.tasks[sequence % kPage].reset();
  --count_;
  if (--page->second.count == 0) pages_.erase(page);
}

Task& TaskTable::AppendEphemeral() {
  TaskId id = model::MakeTaskId(kEphemeralShard, ++last_ephemeral_);
  Task& task = ephemeral_[id];
  task.id = id;
  return task;
}

bool TaskTable::Restore(Task task) {
  uint64_t sequence = model::SequenceOf(task.id);
  if (model::ShardOf(task.id) != shard_ || sequence <= last_) return false;
  last_ = sequence;
  TaskId id = task.id;
  Insert(id) = std::move(task);
  return true;
}

const Task* TaskTable::Find(TaskId id) const {
  if (IsEphemeral(id)) {
    auto found = ephemeral_.find(id);
    return found == ephemeral_.end() ? nullptr : &found->second;
  }
  if (model::ShardOf(id) != shard_) return nullptr;
  uint64_t sequence = model::SequenceOf(id);
  auto page = pages_.find(sequence / kPage);
  return page == pages_.end() ? nullptr : page->second.tasks[sequence % kPage].get();
}

Task* TaskTable::Find(TaskId id) {
  return const_cast<Task*>(static_cast<const TaskTable*>(this)->Find(id));
}

TaskId TaskTable::NextFrom(TaskId first, TaskId last) const {
  uint64_t sequence = model::SequenceOf(first);
  uint64_t end = model::SequenceOf(last);
  while (sequence <= end) {
    auto page = pages_.find(sequence / kPage);
    if (page == pages_.end()) {
      sequence = (sequence / kPage + 1) * kPage;
      continue;
    }
    for (uint64_t at = sequence % kPage; at < kPage && sequence <= end; ++at, ++sequence) {
      if (page->second.tasks[at]) return model::MakeTaskId(shard_, sequence);
    }
  }
  return {};
}

void TaskTable::Fill(Task& task, model::TaskSpec spec) {
  task.tenant = names_.Intern(spec.tenant);
  task.lane = names_.Intern(spec.lane);
  task.batch = spec.batch;
  task.line = spec.line;
  task.content_hash = spec.content_hash;
  task.payload = spec.payload;
  task.cost = spec.cost;
  task.locality = spec.locality;
  task.deadline = spec.deadline;
  task.expires_at = spec.expires_at;
  task.priority = static_cast<int16_t>(spec.priority);
  task.max_attempts = spec.max_attempts;
  task.interactive = spec.interactive;
  if (!spec.idempotency_key.empty()) task.Extra().idempotency_key = std::move(spec.idempotency_key);
  if (!spec.traceparent.empty()) task.Extra().traceparent = std::move(spec.traceparent);
  if (spec.not_before) task.Extra().not_before = spec.not_before;
  if (!spec.parents.empty()) {
    task.Extra().parents = std::move(spec.parents);
    task.extra->parent_policy = spec.parent_policy;
  }
}

Task TaskTable::FromRows(SpecRow spec, StateRow state, std::string checkpoint) {
  Task task;
  task.id = spec.id;
  Fill(task, std::move(spec.spec));
  task.submitted = spec.submitted;
  task.state = state.state;
  task.version = state.version;
  task.generation = state.generation;
  task.fence = state.fence;
  task.attempts = state.attempts;
  task.crashes = state.crashes;
  task.suspect = state.suspect;
  task.eligible = state.eligible;
  task.code = state.outcome.code;
  task.result = state.outcome.result;
  task.finish_sequence = state.finish_sequence;
  if (IsTerminal(state.state)) {
    task.ended = state.retry_at;
  } else if (state.retry_at) {
    task.Extra().retry_at = state.retry_at;
  }
  if (HasLease(state.state) && !state.lease_worker.empty()) {
    task.lease = std::make_unique<ActiveLease>(ActiveLease{.worker = std::move(state.lease_worker),
                                                           .expires = {},
                                                           .ttl = state.lease,
                                                           .external = true});
  }
  if (!state.outcome.message.empty()) task.Extra().message = std::move(state.outcome.message);
  if (!checkpoint.empty()) task.Extra().checkpoint = std::move(checkpoint);
  return task;
}

model::TaskSpec TaskTable::SpecOf(const Task& task) const {
  model::TaskSpec spec;
  spec.tenant = names_[task.tenant];
  spec.lane = names_[task.lane];
  spec.content_hash = task.content_hash;
  spec.priority = task.priority;
  spec.deadline = task.deadline;
  spec.expires_at = task.expires_at;
  spec.batch = task.batch;
  spec.line = task.line;
  spec.payload = task.payload;
  spec.cost = task.cost;
  spec.locality = task.locality;
  spec.interactive = task.interactive;
  spec.ephemeral = task.ephemeral();
  spec.max_attempts = task.max_attempts;
  if (task.extra) {
    spec.idempotency_key = task.extra->idempotency_key;
    spec.traceparent = task.extra->traceparent;
    spec.not_before = task.extra->not_before;
    spec.parents = task.extra->parents;
    spec.parent_policy = task.extra->parent_policy;
  }
  return spec;
}

StateRow TaskTable::StateOf(const Task& task) const {
  StateRow row;
  row.id = task.id;
  row.state = task.state;
  row.version = task.version;
  row.generation = task.generation;
  row.fence = task.fence;
  row.attempts = task.attempts;
  row.crashes = task.crashes;
  row.suspect = task.suspect;
  row.eligible = task.eligible;
  row.outcome.code = task.code;
  row.outcome.result = task.result;
  row.finish_sequence = task.finish_sequence;
  if (task.extra) {
    row.retry_at = task.extra->retry_at;
    row.outcome.message = task.extra->message;
  }
  if (IsTerminal(task.state)) row.retry_at = task.ended;
  if (task.lease && task.lease->external) {
    row.lease_worker = task.lease->worker;
    row.lease = task.lease->ttl;
  }
  return row;
}

model::TaskRecord TaskTable::RecordOf(const Task& task) const {
  StateRow state = StateOf(task);
  model::TaskRecord record;
  record.id = task.id;
  record.spec = SpecOf(task);
  record.state = state.state;
  record.version = state.version;
  record.generation = state.generation;
  record.fence = state.fence;
  if (task.lease) record.lease = model::Lease{task.lease->worker, task.fence, task.lease->expires};
  record.attempts = state.attempts;
  record.crashes = state.crashes;
  record.suspect = state.suspect;
  record.submitted = task.submitted;
  record.eligible = state.eligible;
  if (IsTerminal(task.state)) {
    record.ended = task.ended;
  } else {
    record.retry_at = state.retry_at;
  }
  if (task.extra) record.checkpoint = task.extra->checkpoint;
  record.outcome = std::move(state.outcome);
  record.finish_sequence = state.finish_sequence;
  return record;
}

}  // namespace inferq::queue
