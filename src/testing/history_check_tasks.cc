#include <algorithm>

#include "testing/history_checks.h"

namespace inferq::testing {

using base::Code;
using model::State;
using model::TaskId;
using model::TaskRecord;

namespace {

// What a client may not see change.
bool SameRequest(const model::TaskSpec& a, const model::TaskSpec& b) {
  return a.tenant == b.tenant && a.lane == b.lane && a.idempotency_key == b.idempotency_key &&
         a.content_hash == b.content_hash && a.parents == b.parents && a.payload == b.payload &&
         a.cost == b.cost && a.max_attempts == b.max_attempts && a.batch == b.batch &&
         a.line == b.line;
}

bool SameEnding(const TaskRecord& a, const TaskRecord& b) {
  return a.state == b.state && a.finish_sequence == b.finish_sequence && a.fence == b.fence &&
         a.outcome.result == b.outcome.result;
}

class TaskChecks : CheckPart {
 public:
  explicit TaskChecks(CheckContext& context) : CheckPart(context) {}

  void Run() {
    for (const auto& [id, story] : stories_.tasks()) CheckTask(id, story);
  }

 private:
  void CheckTask(TaskId id, const Story& story) {
    auto record = records_.find(id);
    if (record == records_.end()) {
      if (story.spec) Breach("I1: {} was acknowledged and is gone", ToString(id));
      return;
    }
    if (story.spec && !SameRequest(*story.spec, record->second->spec))
      Breach("I1: {} is not what was submitted", ToString(id));
    CheckClaims(id, story);
    CheckWrites(id, story);
    CheckRecord(id, story, *record->second);
    CheckCompletions(id, story, *record->second);
    CheckCancels(id, story, *record->second);
    CheckParents(id, story, *record->second);
    CheckAttempts(id, story);
  }

  void CheckClaims(TaskId id, const Story& story) {
    for (size_t i = 0; i < story.claims.size(); ++i) {
      const Claim& claim = story.claims[i];
      if (stories_.Closing(claim.at)) Breach("I10: {} was given out while closing", ToString(id));
      base::Micros waited = claim.entry->wall - claim.entry->eligible;
      if (rules_.max_wait && waited > *rules_.max_wait)
        Breach("I8: {} waited {} s", ToString(id), waited.count() / 1'000'000);
      if (i == 0) continue;
      if (claim.entry->fence <= story.claims[i - 1].entry->fence)
        Breach("I2: the fence of {} did not rise", ToString(id));
      if (stories_.CertainlyLive(id, i - 1, claim.at, claim.entry->at))
        Breach("I2: {} has two live leases", ToString(id));
    }
  }

  // Start, Renew, Complete, Fail, Release: only with the newest fence, and not while closing.
  void CheckWrites(TaskId id, const Story& story) {
    for (Op op : {Op::kStart, Op::kRenew, Op::kComplete, Op::kFail, Op::kRelease}) {
      for (const Try& one : story.Of(op)) CheckWrite(id, story, op, one);
    }
  }
  void CheckWrite(TaskId id, const Story& story, Op op, const Try& one) {
    if (one.answered == nullptr) return;
    bool taken =
        one.fate == Fate::kAccepted && (op != Op::kRenew || one.answered->held == Held::kHeld);
    model::Fence newest{};
    for (const Claim& claim : story.claims) {
      if (claim.at < one.call_at) newest = claim.entry->fence;
    }
    bool stale = one.called->fence < newest;
    if (taken && stale)
      Breach("I2: {} of {} with a stale fence was taken", OpName(op), ToString(id));
    if (stale && one.fate == Fate::kRefused && one.answered->error != Code::kAborted)
      Breach("I2: {} of {} with a stale fence was refused as {}", OpName(op), ToString(id),
             CodeName(*one.answered->error));
    if (taken && stories_.Closing(one.call_at))
      Breach("I10: {} of {} was taken while closing", OpName(op), ToString(id));
    if (taken) CheckNotEnded(id, story, op, one);
  }
  // I11 and I3: a task that was cancelled for sure takes nothing more, until it is requeued.
  void CheckNotEnded(TaskId id, const Story& story, Op op, const Try& one) {
    for (const Try& cancel : story.Of(Op::kCancel)) {
      bool before = cancel.fate == Fate::kAccepted && cancel.answer_at < one.call_at;
      if (before && !story.MayHave(Op::kRequeue, cancel.call_at, one.answer_at))
        Breach("I11: {} of {} was taken after it was cancelled", OpName(op), ToString(id));
    }
  }

  // I3, I5: what was seen, and what is seen at the end.
  void CheckRecord(TaskId id, const Story& story, const TaskRecord& last) {
    std::map<model::Generation, TaskRecord> endings;
    auto look = [&](const TaskRecord& record, size_t called, size_t answered) {
      if (record.attempts > record.spec.max_attempts)
        Breach("I5: {} has {} attempts", ToString(id), record.attempts);
      if (record.crashes > rules_.crashes_alone)
        Breach("I5: {} has {} crashes", ToString(id), record.crashes);
      auto requeues = std::ranges::count_if(story.Of(Op::kRequeue), [&](const Try& one) {
        return one.fate != Fate::kRefused && one.call_at < answered;
      });
      if (record.generation > requeues)
        Breach("I3: {} has generation {} after {} requeues", ToString(id), record.generation,
               requeues);
      auto ended = endings.find(record.generation);
      if (ended != endings.end() && !SameEnding(ended->second, record))
        Breach("I3: {} was {} and is {} in one generation", ToString(id),
               StateName(ended->second.state), StateName(record.state));
      if (!IsTerminal(record.state)) return;
      endings.emplace(record.generation, record);
      CheckNoClaimAfter(id, story, called);
    };
    for (const Try& sight : story.Of(Op::kSee)) {
      if (sight.answered && sight.answered->record)
        look(*sight.answered->record, sight.call_at, sight.answer_at);
    }
    look(last, end(), end());
  }
  // Ended for sure when position `ended` was called for.
  void CheckNoClaimAfter(TaskId id, const Story& story, size_t ended) {
    for (const Claim& claim : story.claims) {
      if (claim.at > ended && !story.MayHave(Op::kRequeue, ended, claim.at))
        Breach("I3: {} was given out after it had ended", ToString(id));
    }
  }

  // I3: an acknowledged result is the one that stands.
  void CheckCompletions(TaskId id, const Story& story, const TaskRecord& last) {
    const Try* previous = nullptr;
    for (const Try& one : story.Of(Op::kComplete)) {
      if (one.fate != Fate::kAccepted) continue;
      bool other = previous && previous->called->fence != one.called->fence;
      if (other && !story.MayHave(Op::kRequeue, previous->call_at, one.answer_at))
        Breach("I3: {} was completed twice", ToString(id));
      previous = &one;
      CheckNoClaimAfter(id, story, one.answer_at);
      if (story.MayHave(Op::kRequeue, one.call_at, SIZE_MAX)) continue;
      if (last.state != State::kSucceeded || last.fence != one.called->fence ||
          !IsResultOf(story, one.called->fence, last.outcome.result))
        Breach("I3: the acknowledged result of {} is not the one that is shown", ToString(id));
    }
  }
  // Of calls that repeat a completion the first one to take effect counts: the first that was
  // accepted, or one before it whose fate is open.
  static bool IsResultOf(const Story& story, model::Fence fence, const model::Extent& result) {
    for (const Try& one : story.Of(Op::kComplete)) {
      if (one.called->fence != fence || one.fate == Fate::kRefused) continue;
      if (one.called->result == result) return true;
      if (one.fate == Fate::kAccepted) return false;
    }
    return false;
  }

  // I11
  void CheckCancels(TaskId id, const Story& story, const TaskRecord& last) {
    for (const Try& one : story.Of(Op::kCancel)) {
      if (one.fate != Fate::kAccepted) continue;
      if (story.MayHave(Op::kRequeue, one.call_at, SIZE_MAX)) continue;
      if (last.state != State::kCancelled)
        Breach("I11: {} was cancelled and is {}", ToString(id), StateName(last.state));
      for (const Claim& claim : story.claims) {
        if (claim.at > one.answer_at) Breach("I11: {} was given out after its end", ToString(id));
      }
    }
  }

  // I6: parents first, and their policy. A parent that was ever requeued proves nothing.
  void CheckParents(TaskId id, const Story& story, const TaskRecord& last) {
    for (TaskId parent : last.spec.parents) {
      const Story& its = stories_.Of(parent);
      auto record = records_.find(parent);
      if (record == records_.end()) {
        Breach("I6: {} has lost its parent {}", ToString(id), ToString(parent));
        continue;
      }
      if (its.MayHave(Op::kRequeue, 0, SIZE_MAX)) continue;
      bool wants_success = last.spec.parent_policy == model::ParentPolicy::kAllSucceeded;
      auto allows = [&](State state) {
        return wants_success ? state == State::kSucceeded : IsTerminal(state);
      };
      if (!story.claims.empty() && !allows(record->second->state))
        Breach("I6: {} ran though its parent {} is {}", ToString(id), ToString(parent),
               StateName(record->second->state));
      for (const Try& sight : its.Of(Op::kSee)) {
        bool later = !story.claims.empty() && sight.call_at > story.claims[0].at;
        if (later && sight.answered && sight.answered->record &&
            !allows(sight.answered->record->state))
          Breach("I6: {} was given out while its parent {} was {}", ToString(id), ToString(parent),
                 StateName(sight.answered->record->state));
      }
    }
  }

  // I5, I10: what an attempt costs.
  void CheckAttempts(TaskId id, const Story& story) {
    uint32_t crashes = 0;
    for (size_t i = 0; i < story.claims.size(); ++i) {
      const Claim& claim = story.claims[i];
      if (i > 0 && story.MayHave(Op::kRequeue, story.claims[i - 1].at, claim.at)) crashes = 0;
      uint32_t allowed = claim.entry->specs.at(0).max_attempts;
      if (claim.entry->attempt > allowed)
        Breach("I5: {} is given out for attempt {} of {}", ToString(id), claim.entry->attempt,
               allowed);
      if (crashes >= rules_.crashes_alone)
        Breach("I5: {} runs after {} crashes alone", ToString(id), crashes);
      if (i > 0) CheckAttempt(id, story, i);
      if (claim.entry->alone && EndedBy(story, i, Op::kFail, true) && Started(story, i)) ++crashes;
    }
  }
  void CheckAttempt(TaskId id, const Story& story, size_t index) {
    const Claim& now = story.claims[index];
    const Claim& before = story.claims[index - 1];
    if (story.MayHave(Op::kRequeue, before.at, now.at)) return;
    bool free = EndedBy(story, index - 1, Op::kRelease, false) ||
                EndedBy(story, index - 1, Op::kFail, true);
    uint32_t most = before.entry->attempt + (free || !MayHaveStarted(story, index - 1) ? 0 : 1);
    if (now.entry->attempt > most)
      Breach("I5: attempt {} of {} was burned for nothing", before.entry->attempt, ToString(id));
  }
  // Whether this claim was ended for sure by such a call.
  static bool EndedBy(const Story& story, size_t claim, Op op, bool crashed) {
    return std::ranges::any_of(story.Of(op), [&](const Try& one) {
      return one.fate == Fate::kAccepted && one.called->crashed == crashed &&
             one.called->fence == story.claims[claim].entry->fence;
    });
  }
  static bool Started(const Story& story, size_t claim) {
    return std::ranges::any_of(story.Of(Op::kStart), [&](const Try& one) {
      return one.fate == Fate::kAccepted && one.called->fence == story.claims[claim].entry->fence;
    });
  }
  static bool MayHaveStarted(const Story& story, size_t claim) {
    return std::ranges::any_of(story.Of(Op::kStart), [&](const Try& one) {
      return one.fate != Fate::kRefused && one.called->fence == story.claims[claim].entry->fence;
    });
  }
};

}  // namespace

void CheckTasks(CheckContext& context) { TaskChecks(context).Run(); }

}  // namespace inferq::testing
