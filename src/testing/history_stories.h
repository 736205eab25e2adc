#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "testing/history.h"

namespace inferq::testing {

/// What became of a call.
enum class Fate : uint8_t {
  kAccepted,
  kRefused,  ///< It changed nothing.
  kInDoubt,  ///< No answer, or one that leaves it open.
};

/// A call about one task. Positions are indices into the log; kNever: not answered.
struct Try {
  static constexpr size_t kNever = SIZE_MAX;
  const Entry* called = nullptr;
  const Entry* answered = nullptr;
  size_t call_at = 0;
  size_t answer_at = kNever;
  Fate fate = Fate::kInDoubt;
};

struct Claim {
  const Entry* entry = nullptr;
  size_t at = 0;
  size_t call_at = 0;  ///< Of the call that gave it.
};

/// One Submit call.
struct Submission {
  const Entry* called = nullptr;
  const Entry* answered = nullptr;
  size_t call_at = 0;
  size_t answer_at = Try::kNever;
  Fate fate = Fate::kInDoubt;
};

/// The log, read task by task.
struct Story {
  std::map<Op, std::vector<Try>> tries;  ///< In order of the calls.
  std::vector<Claim> claims;             ///< In order.
  /// Of an acknowledged submission: what was asked for, with parents by their ids.
  std::optional<model::TaskSpec> spec;
  size_t acknowledged_at = Try::kNever;

  const std::vector<Try>& Of(Op op) const;
  /// Whether such a call may have had an effect between these positions.
  bool MayHave(Op op, size_t after, size_t before) const;
};

/// The log, sorted: by task and by submission.
class Stories {
 public:
  explicit Stories(const History& history);

  const std::map<model::TaskId, Story>& tasks() const { return tasks_; }
  const std::vector<Submission>& submissions() const { return submissions_; }
  /// The story of a task that nothing is known of is empty.
  const Story& Of(model::TaskId id) const;
  /// Whether a process stopped or began to close between these positions.
  bool ProcessEnded(size_t after, size_t before) const;
  /// Positions between a kClosing and the next kOpened.
  bool Closing(size_t at) const;
  /// Whether the claim still holds at `at` for sure: nothing can have ended it, and its lease, as
  /// renewed, has not run out.
  bool CertainlyLive(model::TaskId id, size_t claim, size_t at, base::SteadyTime now) const;

 private:
  void AddClaim(const Entry& entry, size_t at);
  void AddCall(const Entry& entry, size_t at);
  void AddAnswer(const Entry& entry, size_t at);
  void AddSubmitted(Submission& submission);

  std::map<model::TaskId, Story> tasks_;
  std::vector<Submission> submissions_;
  std::map<uint64_t, size_t> submission_of_call_;
  std::map<uint64_t, size_t> claim_calls_;  // where they stand
  std::map<std::pair<uint64_t, model::TaskId>, std::pair<Op, size_t>> open_;
  std::vector<size_t> ends_;  // of processes
  std::vector<std::pair<size_t, size_t>> closings_;
};

}  // namespace inferq::testing
