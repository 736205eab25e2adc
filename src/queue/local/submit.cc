// Submit: validation of all specs first, then tasks for those that are new.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"
#include "queue/local/spec_check.h"

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;

namespace {

constexpr size_t kMaxSpecs = 10'000;
constexpr size_t kMaxParents = 10'000;

// Two names may turn out to mean one task.
void DropRepeated(std::vector<TaskId>& ids) {
  std::unordered_set<TaskId> seen;
  std::erase_if(ids, [&seen](TaskId id) { return !seen.insert(id).second; });
}

}  // namespace

Awaitable<base::Result<std::vector<TaskId>>> LocalQueue::Submit(std::vector<TaskSpec> specs) {
  INFERQ_CO_TRY(Ready());
  INFERQ_CO_ASSIGN(std::vector<Slot> slots, Plan(specs));
  Group group = 0;  // an earlier task with the same key may not be durable yet
  for (const Slot& slot : slots) {
    // An ended one may be gone by now; its key lives on.
    const Task* existing = slot.existing ? tasks_.Find(slot.existing) : nullptr;
    if (existing != nullptr) group = std::max(group, existing->change);
    if (slot.fresh() && !specs.front().ephemeral) group = commits_->current();
  }
  std::vector<TaskId> ids = Apply(std::move(specs), slots);
  ArmTimer();
  INFERQ_CO_TRY(co_await Durable(group));
  co_return ids;
}

// Checks everything and finds out which specs are new. Changes nothing.
base::Result<std::vector<LocalQueue::Slot>> LocalQueue::Plan(
    const std::vector<TaskSpec>& specs) const {
  if (specs.empty() || specs.size() > kMaxSpecs) {
    return base::Fail(Code::kInvalidArgument, "a submission has 1 to {} tasks, not {}", kMaxSpecs,
                      specs.size());
  }
  auto named = [](size_t index, base::Error error) {
    return std::unexpected(std::move(error).WithContext(fmt::format("task {}", index)));
  };
  std::vector<Slot> slots(specs.size());
  std::unordered_map<std::string, size_t> by_key;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (auto checked = CheckSpec(specs[i]); !checked) return named(i, checked.error());
    if (specs[i].ephemeral != specs[0].ephemeral) {
      return named(i, WrongField("ephemeral", "must be the same for all tasks of a submission"));
    }
    auto slot = FindByKey(specs, i, by_key);
    if (!slot) return named(i, slot.error());
    slots[i] = *slot;
    if (!slot->fresh()) continue;
    if (auto checked = CheckTimes(specs[i]); !checked) return named(i, checked.error());
    if (auto checked = CheckParents(specs, i); !checked) return named(i, checked.error());
  }
  if (auto stuck = FindCycle(specs, slots)) {
    return named(*stuck, WrongField("parents", "form a cycle within this submission"));
  }
  INFERQ_TRY(CheckRoom(specs, slots));
  return slots;
}

// An index that waits for itself over parents of the same call; nullopt: there is none.
std::optional<size_t> LocalQueue::FindCycle(const std::vector<TaskSpec>& specs,
                                            const std::vector<Slot>& slots) {
  std::vector<std::vector<size_t>> children(specs.size());
  std::vector<size_t> waits_for(specs.size());
  std::vector<size_t> free;
  for (size_t i = 0; i < specs.size(); ++i) {
    for (TaskId parent : specs[i].parents) {
      auto index = IndexInThisCall(parent);
      if (!slots[i].fresh() || !index || *index >= specs.size()) continue;
      size_t meant = slots[*index].same_as.value_or(*index);
      if (slots[meant].existing) continue;
      children[meant].push_back(i);
      ++waits_for[i];
    }
    if (waits_for[i] == 0) free.push_back(i);
  }
  for (size_t next = 0; next < free.size(); ++next) {
    for (size_t child : children[free[next]]) {
      if (--waits_for[child] == 0) free.push_back(child);
    }
  }
  auto stuck = std::ranges::find_if(waits_for, [](size_t count) { return count > 0; });
  if (stuck == waits_for.end()) return std::nullopt;
  return static_cast<size_t>(stuck - waits_for.begin());
}

// What cannot depend on the time or on other tasks, so that a repeated submission passes again.
base::Result<> LocalQueue::CheckSpec(const TaskSpec& spec) const {
  INFERQ_TRY(CheckTenantName(spec.tenant));
  INFERQ_TRY(CheckLaneName(spec.lane));
  INFERQ_TRY(CheckIdempotencyKey(spec.idempotency_key));
  INFERQ_TRY(CheckTraceparent(spec.traceparent));
  INFERQ_TRY(CheckPriority(spec.priority));
  if (spec.max_attempts < 1)
    return std::unexpected(WrongField("max_attempts", "must be at least 1"));
  if (spec.parents.size() > kMaxParents) {
    return std::unexpected(WrongField(
        "parents", fmt::format("may be at most {}, not {}", kMaxParents, spec.parents.size())));
  }
  return CheckLifetime(spec);
}

// Nothing durable may depend on a task that is not.
base::Result<> LocalQueue::CheckLifetime(const TaskSpec& spec) {
  if (!spec.ephemeral) {
    if (!spec.interactive) return {};
    return std::unexpected(WrongField("interactive", "is for ephemeral tasks only"));
  }
  constexpr std::string_view kNot = "is not for ephemeral tasks";
  if (!spec.parents.empty()) return std::unexpected(WrongField("parents", std::string(kNot)));
  if (spec.batch) return std::unexpected(WrongField("batch", std::string(kNot)));
  if (!spec.idempotency_key.empty()) {
    return std::unexpected(WrongField("idempotency_key", std::string(kNot)));
  }
  return {};
}

base::Result<> LocalQueue::CheckTimes(const TaskSpec& spec) const {
  base::WallTime now = WallNow();
  INFERQ_TRY(CheckTime("not_before", spec.not_before, base::WallTime::min()));
  INFERQ_TRY(CheckTime("deadline", spec.deadline, now));
  INFERQ_TRY(CheckTime("expires_at", spec.expires_at, now));
  if (!spec.batch) return {};
  auto owner = index_.TenantOf(spec.batch);
  if (!owner || tasks_.names()[*owner] == spec.tenant) return {};
  return std::unexpected(
      WrongField("batch", fmt::format("{} belongs to another tenant", ToString(spec.batch))));
}

// The task that an idempotency key stands for already, stored or earlier in this call.
base::Result<LocalQueue::Slot> LocalQueue::FindByKey(
    const std::vector<TaskSpec>& specs, size_t index,
    std::unordered_map<std::string, size_t>& by_key) const {
  const TaskSpec& spec = specs[index];
  if (spec.idempotency_key.empty()) return Slot{};
  auto conflict = [&spec](std::string_view holder) {
    return base::Fail(Code::kAlreadyExists,
                      "idempotency_key \"{}\" stands for {} with other content",
                      spec.idempotency_key, holder);
  };
  if (const auto* holder = keys_.Find(spec.tenant, spec.idempotency_key, WallNow())) {
    if (holder->content_hash != spec.content_hash) return conflict(ToString(holder->id));
    return Slot{.existing = holder->id, .same_as = {}};
  }
  auto [first, is_new] = by_key.emplace(spec.tenant + '\0' + spec.idempotency_key, index);
  if (is_new) return Slot{};
  if (specs[first->second].content_hash != spec.content_hash) {
    return conflict(fmt::format("task {} of this submission", first->second));
  }
  return Slot{.existing = {}, .same_as = first->second};
}

base::Result<> LocalQueue::CheckParents(const std::vector<TaskSpec>& specs, size_t index) const {
  const TaskSpec& spec = specs[index];
  std::unordered_set<TaskId> seen;
  for (TaskId parent : spec.parents) {
    bool known = false;
    if (auto in_call = IndexInThisCall(parent)) {
      known = *in_call < specs.size() && specs[*in_call].tenant == spec.tenant;
    } else if (const Task* task = tasks_.Find(parent)) {
      known = TenantName(*task) == spec.tenant && !task->ephemeral();
    } else if (const LineBatch* batch = BatchAt(parent)) {
      known = batch->row.plan.tenant == spec.tenant;
    }
    if (!known)
      return std::unexpected(
          WrongField("parents", fmt::format("name the unknown {}", ToString(parent))));
    if (!seen.insert(parent).second) {
      return std::unexpected(WrongField("parents", fmt::format("name {} twice", ToString(parent))));
    }
  }
  return {};
}

base::Result<> LocalQueue::CheckRoom(const std::vector<TaskSpec>& specs,
                                     const std::vector<Slot>& slots) const {
  std::map<std::string_view, Usage> added;
  Usage all;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!slots[i].fresh()) continue;
    for (Usage* usage : {&added[specs[i].tenant], &all}) {
      ++usage->tasks;
      usage->bytes += specs[i].payload.length;
    }
  }
  const RoomPolicy& room = options_.room;
  auto full = [this](uint64_t excess, std::string what) {
    return std::unexpected(
        base::Error(Code::kResourceExhausted, std::move(what)).WithRetryAfter(RetryAfter(excess)));
  };
  uint64_t most = room.tasks - (specs[0].ephemeral ? 0 : room.kept_for_ephemeral);
  if (live_ + all.tasks > most) {
    return full(live_ + all.tasks - most,
                fmt::format("the queue is full: {} live tasks, at most {}; wait until some have "
                            "ended",
                            live_, most));
  }
  if (used_.bytes + all.bytes > room.bytes) {
    return full(all.tasks, fmt::format("the queue is full: live tasks have {} bytes of requests, "
                                       "at most {}; wait until some have ended",
                                       used_.bytes, room.bytes));
  }
  for (auto& [tenant, more] : added) {
    auto name = tasks_.names().Find(tenant);
    auto found = name ? usage_.find(*name) : usage_.end();
    Usage now = found == usage_.end() ? Usage{} : found->second;
    if (now.tasks + more.tasks > room.tasks_per_tenant) {
      return full(now.tasks + more.tasks - room.tasks_per_tenant,
                  fmt::format("tenant {} has {} live tasks, at most {}; wait until some have ended",
                              tenant, now.tasks, room.tasks_per_tenant));
    }
    if (now.bytes + more.bytes > room.bytes_per_tenant) {
      return full(more.tasks, fmt::format("live tasks of tenant {} have {} bytes of requests, at "
                                          "most {}; wait until some have ended",
                                          tenant, now.bytes, room.bytes_per_tenant));
    }
  }
  return {};
}

// When so many tasks will have ended at the present rate: 1 to 60 s.
std::chrono::milliseconds LocalQueue::RetryAfter(uint64_t excess) const {
  constexpr double kUnknownRate = 1.0;
  double rate = endings_.PerSecond(SteadyNow());
  double wait =
      std::clamp(static_cast<double>(excess) / (rate > 0 ? rate : kUnknownRate), 1.0, 60.0);
  return std::chrono::milliseconds(static_cast<int64_t>(wait * 1000));
}

std::vector<TaskId> LocalQueue::Apply(std::vector<TaskSpec> specs, const std::vector<Slot>& slots) {
  std::vector<TaskId> ids(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    if (slots[i].fresh()) {
      ids[i] = (specs[i].ephemeral ? tasks_.AppendEphemeral() : tasks_.Append()).id;
    } else {
      ids[i] = slots[i].same_as ? ids[*slots[i].same_as] : slots[i].existing;
    }
  }
  auto resolve = [&ids](TaskId& parent) {
    if (auto index = IndexInThisCall(parent)) parent = ids[*index];
  };
  std::vector<Task*> added;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!slots[i].fresh()) continue;
    std::ranges::for_each(specs[i].parents, resolve);
    DropRepeated(specs[i].parents);
    added.push_back(tasks_.Find(ids[i]));
    AddTask(*added.back(), std::move(specs[i]));
  }
  for (Task* task : added) WaitForParents(*task);  // all new tasks exist now
  for (Task* task : added) Admit(*task);
  for (Task* task : added) task->version = 1;
  auto expired = keys_.Expire(WallNow(), added.size() + 16);
  std::ranges::move(expired, std::back_inserter(old_keys_));
  return ids;
}

// Blocked for now.
void LocalQueue::AddTask(Task& task, TaskSpec spec) {
  base::WallTime now = WallNow();
  tasks_.Fill(task, std::move(spec));
  task.submitted = now;
  task.eligible = now;
  if (task.extra && task.extra->not_before) task.eligible = std::max(now, *task.extra->not_before);
  if (!task.ephemeral()) index_.Add(task.id, task.id, task.tenant, task.batch);
  ++live_;
  Use(task);
  UseBlob(task.payload.blob);
  if (task.expires_at) expiry_due_.Add(*task.expires_at, task.id);
  if (task.extra && !task.extra->idempotency_key.empty()) {
    KeyRow row{TenantName(task), task.extra->idempotency_key, task.id, task.content_hash, now};
    keys_.Add(row);
    new_keys_.push_back(std::move(row));
  }
  Changed(task, kDirtySpec | kDirtyState, Wait::kAwaited);
  Count(task, std::nullopt, true);
}

// Decides where a new task goes, if an earlier one of the same call has not decided it.
void LocalQueue::Admit(Task& task) {
  if (task.state != State::kBlocked) return;
  if (auto parent = ParentThatForbids(task)) {
    FailForParent(task, parent->first, parent->second);
    EndChildren(task.id, task.state);
  } else if (task.UnfinishedParents() == 0) {
    TryUnblock(task, Wait::kAwaited);
  }
}

model::BatchId LocalQueue::NewBatchId() {
  // Rides with the batch's first tasks; until then nothing durable of ours names it.
  return model::BatchId{model::MakeTaskId(options_.shard, ++last_batch_).value};
}

}  // namespace inferq::queue
