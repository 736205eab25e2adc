#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"
#include "queue/batch_plan.h"
#include "runtime/awaitable.h"
#include "sched/scheduler.h"

namespace inferq::queue {

using runtime::Awaitable;

/// Names a claim: every later call about it carries both, and a fence that is not the newest is
/// refused with kAborted, changing nothing.
struct TaskRef {
  model::TaskId id;
  model::Fence fence;
};

/// The shard of the ids of ephemeral tasks, which no store has. They are not given out again soon
/// after a restart either.
inline constexpr uint16_t kEphemeralShard = 0xFFFE;
constexpr bool IsEphemeral(model::TaskId id) { return model::ShardOf(id) == kEphemeralShard; }

/// Names the spec with this index in the same Submit call, as a parent: a graph of tasks is added
/// in one call.
constexpr model::TaskId InThisCall(uint32_t index) {
  return model::MakeTaskId(0xFFFF, index + uint64_t{1});
}
constexpr std::optional<size_t> IndexInThisCall(model::TaskId id) {
  if (model::ShardOf(id) != 0xFFFF || model::SequenceOf(id) == 0) return std::nullopt;
  return model::SequenceOf(id) - 1;
}

/// What a worker asks for.
struct ClaimRequest {
  std::string worker;              ///< Name of the claimer, for people. Not a proof: the fence is.
  std::vector<std::string> lanes;  ///< Lanes it can serve; tasks of others are not considered.
  uint32_t max_tasks = 1;          ///< 1..10,000.
  model::TokenCount token_budget =
      UINT64_MAX;                  ///< Bound on the sum of costs; the first task always fits.
  base::Micros lease{30'000'000};  ///< How long it may go without Renew.
  /// Waits until then for a first task; the past: does not wait.
  base::SteadyTime wait_until{};
  /// Only tasks whose spec says `interactive`: for slots that are kept for them.
  bool interactive_only = false;
  /// The claimer is another process: its leases outlive a restart of the queue (with a fresh ttl),
  /// while those of our own end with us.
  bool external = false;
};

/// A claimed task: what it takes to run it, and the proof.
struct ClaimedTask {
  model::TaskId id;
  model::Fence fence;
  model::TaskSpec spec;
  uint32_t attempt = 1;     ///< The number this start will have, from 1.
  bool alone = false;       ///< A suspect: run nothing beside it.
  std::string checkpoint;   ///< What the last claimer left; "" when nothing.
  base::WallTime eligible;  ///< Since when it might have run.
};

struct Renewal {
  TaskRef task;
  base::Micros lease{30'000'000};
  std::optional<std::string> checkpoint{};  ///< Replaces the stored one when set; <= 64 KiB.
};
/// Tells the worker, in the reply to Renew, what became of its task.
enum class RenewalReply : uint8_t { kHeld, kCancelRequested, kLost };

struct Completion {
  TaskRef task;
  model::Extent result{};      ///< Must be durable in the blob store already.
  model::TokenCount cost = 0;  ///< What it really cost, for settlement. 0: as estimated.
};

struct Failure {
  TaskRef task;
  base::Error error;
  bool retryable = false;  ///< Retries after backoff while attempts are left.
  /// The worker or engine died while it ran the task. The task becomes a suspect and runs again
  /// alone; only a crash while alone counts, and the third such ends it as kFailed (dead letter).
  /// Burns no other attempt.
  bool crashed = false;
  model::Extent result{};  ///< An error line to keep, shown if this failure is the last.
};

/// What a client may change while a task is live.
struct EditRequest {
  model::TaskId id;
  std::optional<model::Version> if_version{};  ///< kFailedPrecondition when it differs (412).
  std::optional<int> priority{};
  std::optional<std::optional<base::WallTime>> deadline{};  ///< Set to nullopt: none any more.
};

/// Which tasks a query or a cancel by filter means. Unset fields match all.
struct TaskFilter {
  std::optional<std::string> tenant{};
  std::optional<model::BatchId> batch{};
  std::optional<model::State> state{};
  /// CancelWhere: kInvalidArgument where a live batch of lines has it among others.
  std::optional<std::string> lane{};
  bool single = false;  ///< Only tasks that are no lines of a batch.
};

struct QueryRequest {
  TaskFilter filter{};
  /// Only tasks behind this one in the chosen order.
  uint64_t after = 0;
  enum class Order : uint8_t {
    kId,              ///< `after` is a TaskId's value.
    kFinishSequence,  ///< Terminal tasks only, in the order they ended; `after` is a
                      ///< finish_sequence.
  } order = Order::kId;
  uint32_t limit = 1000;  ///< 1..10,000.
};

/// Why a task is where it is, and what it waits for. A cause that does not hold is empty or false.
struct Explanation {
  model::State state = model::State::kQueued;
  std::vector<model::TaskId> parents;        ///< Unfinished ones, the first 100.
  std::optional<base::WallTime> not_before;  ///< While that is what it waits for.
  std::optional<base::WallTime> retry_at;    ///< End of the backoff, the same.
  std::string worker;                        ///< Who holds its lease.
  bool batch_paused = false;
  bool lane_paused = false;
  bool tenant_paused = false;
  bool tenant_capped = false;                     ///< As many of its tenant run as may.
  std::optional<base::WallTime> throttled_until;  ///< Its tenant has used its tokens per minute.
  uint64_t ahead = 0;           ///< Tasks of its tenant's lane that go before it; an upper bound.
  uint64_t claims_waiting = 0;  ///< Claims that wait for work of its lane; 0: nobody asks for it.
  double tenant_virtual_time = 0;
  double least_virtual_time = 0;  ///< Of the tenants that wait in its lane.
  /// Most that it waits behind other priorities once its tenant's turn has come (the order
  /// contract's bound). 0 when it does not wait.
  base::Micros bound{0};
  /// From the rate at which its lane has ended tasks of its tenant; nullopt: nothing is known.
  std::optional<base::WallTime> expected_start;
};

/// What can be paused: work that waits keeps its place, what runs goes on.
struct PauseTarget {
  enum class Kind : uint8_t { kBatch, kTenant, kLane } kind = Kind::kBatch;
  std::string name;        ///< Of a tenant or lane.
  model::BatchId batch{};  ///< Of a batch that was submitted with SubmitBatch.
};

struct QueueStats {
  uint64_t by_state[model::kStateCount] = {};
  uint64_t attempts = 0;  ///< Starts ever, this incarnation.
  model::Version last_finish_sequence = 0;
  uint64_t commits = 0;         ///< Groups of changes made durable, this incarnation.
  base::Micros commit_time{0};  ///< Of all of them together.
  uint64_t total() const;
};

/// Durable tasks, and who gets them next. The scheduler's memory is only a cache of it.
///
/// Order: Open() -> any calls -> Close(). Open recovers: leases of in-process workers of an earlier
/// incarnation are released at once; a task that was *running* when the process died becomes a
/// suspect only if its worker asked for that (a crash of the server says nothing against the task).
/// Calls are safe from any coroutine of the queue's strand, and resume there. When a call yields OK
/// the change survives a killed process and a power cut, except for Claim, Start and Renew, whose
/// records ride the next group commit: losing them costs a repeated attempt, never a result.
///
/// Batched calls answer in the order of their arguments. An item that is refused does not touch its
/// neighbours. If the journal fails the call yields kUnavailable (kResourceExhausted: disk full),
/// nothing of it counts as acknowledged, and healthy() turns false until the store is opened anew.
class Queue {
 public:
  virtual ~Queue() = default;

  virtual Awaitable<base::Result<>> Open() = 0;
  /// Makes riding records durable and wakes waiting claims, which yield nothing. Idempotent.
  virtual Awaitable<base::Result<>> Close() = 0;
  virtual bool healthy() const = 0;

  /// Adds tasks, all or none: each kBlocked if it has unfinished parents or a future not_before,
  /// else kQueued. A batch (`spec.batch` of all specs the same, lines contiguous) gets contiguous
  /// ids.
  /// @param specs  1..10,000. The same idempotency_key and content_hash within 24 h returns the
  /// first id.
  ///
  /// Ephemeral specs (not mixed with others in one call) are scheduled and charged like the rest
  /// but never written: the call does not wait for the disk, Query and Stats do not show them, they
  /// have neither batch, parents nor idempotency key, and they are forgotten when they end (later
  /// calls about them say kAborted or kNotFound, as of tasks that never were, and Renew kLost) or
  /// when the queue is closed. Only they may be interactive.
  /// @return one id per spec, in order. kInvalidArgument: bad field, unknown parent or cycle, names
  /// the
  ///         index. kAlreadyExists: same key, other content. kResourceExhausted: full, retry after
  ///         the hint.
  virtual Awaitable<base::Result<std::vector<model::TaskId>>> Submit(
      std::vector<model::TaskSpec> specs) = 0;

  /// A number for a new batch of this store.
  virtual model::BatchId NewBatchId() = 0;

  /// Adds the lines of a file as one batch, in one small record: a line becomes a task in memory
  /// shortly before its turn, and has a row of its own only while that says more than the file
  /// (it was edited, it is retried, another process holds it). Line i has the id of the first line
  /// plus i, for ever. OK without effect when the batch is known already.
  /// @return the id of line `plan.first_line`. kInvalidArgument: bad field.
  virtual Awaitable<base::Result<model::TaskId>> SubmitBatch(BatchPlan plan) = 0;
  /// Lines of such a batch that wait or ended without a row: cancelled or expired with the batch
  /// before they ran. In order, behind `after` (nullopt: from the first), at most `limit`.
  virtual std::vector<uint64_t> LinesWithoutResult(model::BatchId batch,
                                                   std::optional<uint64_t> after,
                                                   uint32_t limit) const = 0;
  /// Drops all records of a batch whose lines have all ended and are no longer asked for. OK when
  /// it is not known. kFailedPrecondition: some of it is live.
  virtual Awaitable<base::Result<>> ForgetBatch(model::BatchId batch) = 0;
  /// Priority and deadline of all lines that wait, at once. kNotFound; kFailedPrecondition: ended.
  virtual Awaitable<base::Result<>> EditBatch(BatchEdit edit) = 0;
  /// Durable. kNotFound: no such batch. A tenant or lane need not exist.
  virtual Awaitable<base::Result<>> SetPaused(PauseTarget target, bool paused) = 0;

  /// Picks *and* leases, in the order of the contract. Empty when nothing came before wait_until.
  virtual Awaitable<base::Result<std::vector<ClaimedTask>>> Claim(ClaimRequest request) = 0;

  /// Says that the work begins: counts an attempt. Per item kAborted: the claim is lost, drop the
  /// work.
  virtual Awaitable<std::vector<base::Result<>>> Start(std::vector<TaskRef> tasks) = 0;
  virtual Awaitable<std::vector<RenewalReply>> Renew(std::vector<Renewal> renewals) = 0;

  /// Per item kAborted: stale fence, the result is not taken. Completing the same claim twice is OK
  /// twice, unless the task was ephemeral.
  virtual Awaitable<std::vector<base::Result<>>> Complete(std::vector<Completion> completions) = 0;
  /// Retries after backoff, or ends the task as kFailed. Per item kAborted: stale fence.
  virtual Awaitable<std::vector<base::Result<>>> Fail(std::vector<Failure> failures) = 0;
  /// Hands claims back as if they had not been made: a counted start is taken back too.
  virtual Awaitable<std::vector<base::Result<>>> Release(std::vector<TaskRef> tasks) = 0;

  /// Ends live tasks as kCancelled; a running one's worker hears of it at its next Renew. OK for a
  /// task that is cancelled already; kFailedPrecondition when it ended otherwise; kNotFound.
  virtual Awaitable<std::vector<base::Result<>>> Cancel(std::vector<model::TaskId> tasks) = 0;
  /// The same for every live task that matches. @return how many.
  virtual Awaitable<base::Result<uint64_t>> CancelWhere(TaskFilter filter) = 0;
  /// Starts a new generation of terminal tasks: kQueued (kBlocked where a parent is live again), no
  /// attempts. Children that wait for other parents wait for this one again; those that were let go
  /// are not called back. kFailedPrecondition: live, or a parent's ending forbids it to run
  /// (requeue that first). kNotFound.
  virtual Awaitable<std::vector<base::Result<>>> Requeue(std::vector<model::TaskId> tasks) = 0;
  /// @return the new version. kNotFound; kFailedPrecondition: other version, or terminal.
  virtual Awaitable<base::Result<model::Version>> Edit(EditRequest request) = 0;

  virtual Awaitable<base::Result<model::TaskRecord>> Get(model::TaskId id) = 0;
  /// How an earlier generation ended. kNotFound: no such task or generation.
  virtual Awaitable<base::Result<model::Outcome>> GetPast(model::TaskId id,
                                                          model::Generation generation) = 0;
  virtual Awaitable<base::Result<Explanation>> Explain(model::TaskId id) = 0;
  virtual Awaitable<base::Result<std::vector<model::TaskRecord>>> Query(QueryRequest request) = 0;
  virtual QueueStats Stats(const TaskFilter& filter) const = 0;
  /// Tasks that could be claimed now in a lane, ephemeral ones among them.
  virtual uint64_t Waiting(const std::string& lane) const = 0;
  /// Whether a record points into this blob: the request or result of a task, the file of a batch.
  virtual bool UsesBlob(uint64_t blob) const = 0;
  /// From now on, for picks to come. Unknown tenants have the default policy.
  virtual void SetTenant(const std::string& tenant, sched::TenantPolicy policy) = 0;
};

}  // namespace inferq::queue
