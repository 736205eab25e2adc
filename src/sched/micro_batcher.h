#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"

namespace inferq::sched {

inline constexpr uint32_t kMaxBatchSizeBound = 65'536;
inline constexpr uint32_t kMaxPriorityLevels = 1'000;
/// Bound of each duration in the options, and of a call's own timeout (a longer one is no timeout).
inline constexpr base::Micros kMaxBatcherTime = std::chrono::hours(24);

/// What happens to a call whose timeout runs out while it waits.
enum class TimeoutAction : uint8_t {
  kReject,  ///< It fails.
  kDelay,   ///< It goes behind the calls in time, see MicroBatcher.
};

/// How one priority level waits.
struct QueuePolicy {
  TimeoutAction timeout_action = TimeoutAction::kReject;
  base::Micros default_timeout{0};      ///< 0: none.
  bool allow_timeout_override = false;  ///< A call's own timeout counts, shorter or longer.
  uint64_t max_queue_size = 0;          ///< Of this level; 0: no bound. At it Add is refused.
};

/// How stateless calls share runs of a model. Names as in the field.
struct MicroBatchOptions {
  uint32_t max_batch_size = 32;
  /// As soon as one of these sizes can be formed, the largest of them leaves. Empty: only
  /// max_batch_size counts.
  std::vector<uint32_t> preferred_batch_size = {};
  /// How long a call may be held back so that others can join it, while an instance is free. 0:
  /// what is there leaves at once.
  base::Micros max_queue_delay = std::chrono::milliseconds(10);
  /// Bound on the sum of tokens, 0: none. A call that is larger by itself goes alone.
  model::TokenCount max_batch_tokens = 0;
  /// Answers leave in the order in which the calls came (see Finish). Not with several levels and
  /// not with kDelay.
  bool preserve_ordering = false;
  uint32_t priority_levels = 0;         ///< 0: one queue. Else levels 1 (first) .. N.
  uint32_t default_priority_level = 0;  ///< 1..N, for calls of level 0 or above N; 0 iff no levels.
  /// A call that has waited this long is worth one of a level higher that comes now. 0: strict
  /// levels, and the lower ones may starve.
  base::Micros aging_per_level = std::chrono::seconds(1);
  QueuePolicy default_queue_policy = {};
  std::map<uint32_t, QueuePolicy> priority_queue_policy =
      {};  ///< In place of the default, by level.
};

/// @return kInvalidArgument: names the field that is wrong or does not go with another.
base::Result<> Validate(const MicroBatchOptions& options);

using CallId = uint64_t;

/// A stateless call that waits for others like it.
struct Call {
  CallId id = 0;
  std::string shape = {};        ///< Only calls with the same share a batch. A suspect of a failed
                                 ///< batch gets one of its own and so runs alone.
  model::TokenCount tokens = 1;  ///< Any number.
  uint32_t level = 0;            ///< 0 or unknown: the default level.
  base::Micros timeout{0};       ///< >= 0; 0: the level's default.
};

/// Calls to be run together, in their order.
struct MicroBatch {
  uint64_t number = 0;  ///< 1, 2, 3, … in the order of leaving.
  std::string shape;
  std::vector<CallId> members = {};
  model::TokenCount tokens = 0;
};

/// A call that fails because its timeout ran out.
struct Rejected {
  CallId id = 0;
  base::Error error;  ///< kUnavailable
};

/// Puts stateless calls (embeddings, scoring) together into runs of a model. Pure: no clock,
/// threads or I/O. One owner, no locking. Nothing survives a crash: the owner adds anew what it
/// still knows. An id may come again when the call was given out (in a batch, as rejected) or
/// cancelled.
///
/// Order of calls: Make -> any -> destroy. After each Add, Cancel and end of a batch, and at
/// NextDeadline, the owner asks Next until it gives nothing, then TakeRejected, then NextDeadline
/// for its one timer. `now` never goes back.
///
/// The order: by level, then by coming. With aging: by the time of coming plus `aging_per_level`
/// for each level below the first, so a call is overtaken by those only that come within
/// (level − 1) · aging_per_level after it. A delayed call goes behind all calls in time of its own
/// level and above; with aging: it counts as one that came when its timeout ran out, one level
/// lower.
///
/// A batch is the longest run of calls of one shape at the head of the order that the bounds on
/// size and tokens allow. It leaves, when an instance is free,
/// - at a preferred size at once, cut to the largest one;
/// - else as soon as it cannot grow: full, or a call behind it has another shape or too many
///   tokens;
/// - else when any waiting call has been held for `max_queue_delay`, or for half of its timeout if
///   that is shorter: no call times out for the sake of the window while an instance is free.
///
/// Cost: O(log n) for each call of the interface and each member of a batch; after a call came or
/// went inside the run at the head, O(max_batch_size) once.
class MicroBatcher {
 public:
  /// @return kInvalidArgument as Validate.
  static base::Result<std::unique_ptr<MicroBatcher>> Make(MicroBatchOptions options);

  /// @return kResourceExhausted: the level is full, try again later. kAlreadyExists: this id waits.
  ///         kInvalidArgument: a negative timeout.
  base::Result<> Add(Call call, base::SteadyTime now);
  /// Forgets a waiting call. @return false when it does not wait (any more).
  bool Cancel(CallId id);

  /// A batch to run now. Nothing: none is due, or no instance is free.
  std::optional<MicroBatch> Next(base::SteadyTime now, uint32_t free_instances);
  /// A batch ended, however it went. @return the batches whose answers may leave now, in order:
  /// this one; with preserve_ordering none while an earlier one runs, then all that waited for it.
  /// Nothing for a number that does not run.
  std::vector<uint64_t> Finish(uint64_t number);
  /// The calls that timed out since the last time, in the order of their timeouts. Each call is
  /// given out exactly once: here, in a batch, or by Cancel.
  std::vector<Rejected> TakeRejected(base::SteadyTime now);

  /// When Next or TakeRejected will have something to say (or the order changes), if nothing comes
  /// before that: exact, at least `now`. nullopt: not before something comes or an instance is
  /// free.
  std::optional<base::SteadyTime> NextDeadline(base::SteadyTime now, uint32_t free_instances);

  uint64_t waiting() const { return calls_.size(); }

  // Readers may stop here.

 private:
  struct Waiting {
    Call call;
    uint64_t sequence = 0;  ///< In the order of coming.
    base::SteadyTime came{};
    int64_t rank = 0;
    base::SteadyTime held_until{};
    std::optional<base::SteadyTime> times_out = {};
  };
  /// A call's place in one of the indices: by `rank`, then by coming.
  struct Place {
    int64_t rank;
    uint64_t sequence;
    Waiting* waiting;
    friend bool operator<(const Place& a, const Place& b) {
      return a.rank != b.rank ? a.rank < b.rank : a.sequence < b.sequence;
    }
  };
  using Index = std::set<Place>;
  /// The run at the head of the order.
  struct Head {
    uint32_t size = 0;
    model::TokenCount tokens = 0;
    Index::iterator end = {};  ///< The first call that is not in it.
  };

  explicit MicroBatcher(MicroBatchOptions options);

  const QueuePolicy& PolicyOf(uint32_t level) const;
  base::Micros TimeoutOf(const Call& call) const;
  void SetTimes(Waiting& waiting);
  int64_t RankOf(const Waiting& waiting) const;
  int64_t DelayedRankOf(const Waiting& waiting) const;

  void Expire(base::SteadyTime now);
  void Reject(Waiting& waiting, base::SteadyTime now);
  void Delay(Waiting& waiting);
  void Forget(Waiting& waiting);

  void Enter(Waiting& waiting);
  void Leave(Waiting& waiting);
  bool BehindHead(const Place& place) const;
  const Head& FindHead();
  bool Joins(const Waiting& waiting) const;
  void Extend();
  bool CannotGrow() const;
  uint32_t DueSize(base::SteadyTime now);
  MicroBatch Take(uint32_t size);

  const MicroBatchOptions options_;
  std::vector<uint32_t> preferred_;  ///< Ascending.
  uint64_t last_sequence_ = 0;
  uint64_t last_batch_ = 0;
  std::unordered_map<CallId, Waiting> calls_;
  std::map<uint32_t, uint64_t> size_of_level_;
  Index order_;
  Index by_hold_;
  Index by_timeout_;          ///< Those whose timeout is still to come.
  std::optional<Head> head_;  ///< nullopt: to be found anew.
  std::vector<Rejected> rejected_;
  std::map<uint64_t, bool> running_;  ///< Batches whose answers did not leave; whether they ended.
};

}  // namespace inferq::sched
