// What becomes of ended tasks: they stay readable for a time, in number and in bytes as the policy
// says, and are dropped then. Lines of batches go with their batch.

#include <algorithm>

#include "base/check.h"
#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using model::State;
using model::TaskId;

namespace {

// Tasks dropped in one go before others get the strand.
constexpr size_t kDropsPerTurn = 1000;
// How soon after its ending a task may go at the earliest; then it is durable.
constexpr base::Micros kSettle = std::chrono::milliseconds(500);
// When those are looked at again that something live needs.
constexpr base::Micros kPinnedLook = std::chrono::seconds(60);

uint64_t BytesOf(const Task& task) { return task.payload.length + task.result.length; }

}  // namespace

// From its ending on.
void LocalQueue::Retain(const Task& task) {
  if (task.batch) return;  // with its batch
  retained_.push_back({task.finish_sequence, task.id});
  retained_bytes_ += BytesOf(task);
  auto look = retention_due_.Earliest();
  if (!look || (IsOver() && *look > WallNow() + kSettle)) LookAtEnded(kSettle);
}

bool LocalQueue::IsOver() const {
  const RetentionPolicy& policy = options_.retention;
  return retained_.size() > policy.count || retained_bytes_ > policy.bytes;
}

// Arranges the next look at what has ended.
void LocalQueue::LookAtEnded(base::Micros at_the_earliest) {
  retention_due_ = {};
  if (retained_.empty()) return;
  const Task* oldest = tasks_.Find(retained_.front().id);
  base::WallTime when = WallNow() + at_the_earliest;
  if (oldest != nullptr && oldest->ended && !IsOver())
    when = std::max(when, *oldest->ended + options_.retention.age);
  retention_due_.Add(when, retained_.front().id);
  ArmTimer();
}

// Nothing live waits for it, and it has not been requeued since.
bool LocalQueue::Droppable(const Task& task) const {
  return !dependents_.HasChildren(task.id) && task.change <= commits_->durable();
}

// Drops what the policy does not keep, oldest first.
void LocalQueue::DropEnded() {
  base::WallTime now = WallNow();
  std::vector<Finish> pinned;
  size_t looked = 0;
  for (; !retained_.empty() && looked < kDropsPerTurn; ++looked) {
    Finish oldest = retained_.front();
    Task* task = tasks_.Find(oldest.id);
    if (task == nullptr || task->finish_sequence != oldest.sequence) {  // requeued since
      retained_.pop_front();
      continue;
    }
    if (!IsOver() && *task->ended + options_.retention.age > now) break;
    retained_.pop_front();
    if (Droppable(*task)) {
      DropTask(*task);
    } else {
      pinned.push_back(oldest);
    }
  }
  for (const Finish& finish : pinned) retained_.push_back(finish);
  bool more = looked == kDropsPerTurn && pinned.size() < looked;
  LookAtEnded(more ? base::Micros(0) : pinned.empty() ? kSettle : kPinnedLook);
}

// An ended task of its own is gone, from the disk too.
void LocalQueue::DropTask(Task& task) {
  INFERQ_CHECK(IsTerminal(task.state) && !task.is_line);
  if (!task.batch) retained_bytes_ -= BytesOf(task);
  UnuseBlob(task.payload.blob);
  UnuseBlob(task.result.blob);
  index_.Count(task.tenant, task.batch, task.state, std::nullopt);
  NameId tenant = task.tenant;
  model::BatchId batch = task.batch;
  dropped_tasks_.push_back(task.id);
  commits_->Ride();
  tasks_.Erase(task.id);
  index_.DropStale(tenant, batch, [this](const Finish& finish) {
    const Task* known = tasks_.Find(finish.id);
    return known == nullptr || known->finish_sequence != finish.sequence;
  });
}

}  // namespace inferq::queue
