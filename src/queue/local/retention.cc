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
// Endings that are looked at again later because something live needs them.
constexpr base::Micros kPinnedLook = std::chrono::seconds(60);

uint64_t BytesOf(const Task& task) { return task.payload.length + task.result.length; }

}  // namespace

// From its ending on.
void LocalQueue::Retain(const Task& task) {
  if (task.batch) return;  // with its batch
  retained_.push_back({task.finish_sequence, task.id});
  retained_bytes_ += BytesOf(task);
  if (retained_.size() == 1) retention_due_.Add(*task.ended + options_.retention.age, task.id);
  const RetentionPolicy& policy = options_.retention;
  if (retained_.size() > policy.count || retained_bytes_ > policy.bytes)
    retention_due_.Add(WallNow(), TaskId{1});
}

// Nothing live waits for it, and it has not been requeued since.
bool LocalQueue::Droppable(const Task& task) const {
  return !dependents_.HasChildren(task.id) && task.change <= commits_->durable();
}

// Drops what the policy does not keep, oldest first.
void LocalQueue::DropEnded() {
  const RetentionPolicy& policy = options_.retention;
  base::WallTime now = WallNow();
  std::vector<Finish> pinned;
  for (size_t looked = 0; !retained_.empty() && looked < kDropsPerTurn; ++looked) {
    Finish oldest = retained_.front();
    Task* task = tasks_.Find(oldest.id);
    if (task == nullptr || task->finish_sequence != oldest.sequence) {  // requeued since
      retained_.pop_front();
      continue;
    }
    bool over = retained_.size() > policy.count || retained_bytes_ > policy.bytes ||
                *task->ended + policy.age <= now;
    if (!over) break;
    retained_.pop_front();
    if (Droppable(*task)) {
      DropTask(*task);
    } else {
      pinned.push_back(oldest);
    }
  }
  for (const Finish& finish : pinned) retained_.push_back(finish);
  if (retained_.empty()) return;
  const Task* next = tasks_.Find(retained_.front().id);
  bool more = retained_.size() > policy.count || retained_bytes_ > policy.bytes;
  base::WallTime when = next == nullptr ? now : *next->ended + policy.age;
  if (more) when = pinned.empty() ? now : now + kPinnedLook;
  if (!pinned.empty()) when = std::max(when, now + kPinnedLook);
  retention_due_.Add(when, retained_.front().id);
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
