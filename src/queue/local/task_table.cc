#include "queue/local/task_table.h"

#include <algorithm>

namespace inferq::queue {

using model::TaskId;

std::optional<base::WallTime> Task::WakeTime() const {
  if (!extra) return std::nullopt;
  if (!extra->not_before) return extra->retry_at;
  if (!extra->retry_at) return extra->not_before;
  return std::max(*extra->not_before, *extra->retry_at);
}

Task& TaskTable::Append() {
  Task& task = tasks_.emplace_back();
  task.id = model::MakeTaskId(shard_, last_sequence());
  ++count_;
  return task;
}

Task& TaskTable::AppendEphemeral() {
  TaskId id = model::MakeTaskId(kEphemeralShard, ++last_ephemeral_);
  Task& task = ephemeral_[id];
  task.id = id;
  return task;
}

bool TaskTable::Restore(Task task) {
  uint64_t sequence = model::SequenceOf(task.id);
  if (model::ShardOf(task.id) != shard_ || sequence <= last_sequence()) return false;
  SkipTo(sequence - 1);
  tasks_.push_back(std::move(task));
  ++count_;
  return true;
}

void TaskTable::SkipTo(uint64_t last) {
  if (tasks_.empty()) first_ = std::max(first_, last + 1);
  while (last_sequence() < last) tasks_.emplace_back();
}

const Task* TaskTable::Find(TaskId id) const {
  if (IsEphemeral(id)) {
    auto found = ephemeral_.find(id);
    return found == ephemeral_.end() ? nullptr : &found->second;
  }
  uint64_t sequence = model::SequenceOf(id);
  if (model::ShardOf(id) != shard_ || sequence < first_ || sequence > last_sequence())
    return nullptr;
  const Task& task = tasks_[sequence - first_];
  return task.id == id ? &task : nullptr;
}

Task* TaskTable::Find(TaskId id) {
  return const_cast<Task*>(static_cast<const TaskTable*>(this)->Find(id));
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
  if (state.retry_at) task.Extra().retry_at = state.retry_at;
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
  record.retry_at = state.retry_at;
  if (task.extra) record.checkpoint = task.extra->checkpoint;
  record.outcome = std::move(state.outcome);
  record.finish_sequence = state.finish_sequence;
  return record;
}

}  // namespace inferq::queue
