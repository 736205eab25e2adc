#include "batch_ledger.h"

#include <fmt/format.h>

#include <algorithm>

namespace inferq::queue {

using base::Code;
using model::State;
using model::TaskRecord;

BatchLedger::Batch& BatchLedger::Add(BatchPlan plan) {
  Batch& batch = batches_[plan.batch];
  batch.plan = std::move(plan);
  return batch;
}

std::string BatchLedger::Name(const Batch& batch, uint64_t line) {
  return fmt::format("line {} of {}", line, ToString(batch.plan.batch));
}

LedgerEvent& BatchLedger::Call(LedgerStory& story, LedgerEvent event) {
  event.called = Tick();
  return story.emplace_back(event);
}

void BatchLedger::Answer(LedgerEvent& event, const base::Result<>& answer) {
  uint64_t at = Tick();
  bool doubt = !answer && (answer.error().code() == Code::kUnavailable ||
                           answer.error().code() == Code::kResourceExhausted ||
                           answer.error().code() == Code::kDataLoss);
  if (doubt) return;
  event.answered = at;
  event.fate = answer ? Fate::kAccepted : Fate::kRefused;
  static const std::set<Op> kCommit = {Op::kEdit, Op::kRequeue, Op::kPause, Op::kResume};
  if (answer && kCommit.contains(event.op)) certain_ = std::max(certain_, event.called);
}

// Whether one of these may have taken effect after and before.
bool BatchLedger::MayHave(const LedgerStory& story, std::set<Op> ops, uint64_t after,
                          uint64_t before) {
  return std::ranges::any_of(story, [&](const LedgerEvent& event) {
    return ops.contains(event.op) && event.fate != Fate::kRefused && event.answered > after &&
           event.called < before;
  });
}

// Why the line cannot be live between `at` and `until`; "": it can.
std::string BatchLedger::EndedBefore(const Batch& batch, const LedgerStory& story, uint64_t at,
                                     uint64_t until) {
  for (const LedgerEvent& event : story) {
    if (event.fate != Fate::kAccepted || event.answered >= at) continue;
    if (event.op != Op::kCancel && event.op != Op::kComplete) continue;
    if (!MayHave(story, {Op::kRequeue}, event.called, until))
      return event.op == Op::kCancel ? "it was cancelled" : "it was completed";
  }
  for (const LedgerEvent& event : batch.story) {
    if (event.fate == Fate::kAccepted && event.answered < at && event.op == Op::kCutAll)
      return "its batch was cancelled";
    if (event.fate == Fate::kAccepted && event.answered < at && event.op == Op::kForget)
      return "its batch was forgotten";
  }
  return "";
}

LedgerEvent& BatchLedger::Claimed(const ClaimedTask& task, uint64_t called, bool external,
                                  base::SteadyTime lease_until) {
  Batch& batch = batches_.at(task.spec.batch);
  LedgerStory& story = batch.lines[task.spec.line];
  LedgerEvent claim{.op = Op::kClaim,
                    .fate = Fate::kAccepted,
                    .called = called,
                    .answered = Tick(),
                    .fence = task.fence,
                    .result = {},
                    .priority = task.spec.priority,
                    .attempt = task.attempt,
                    .external = external,
                    .lease_until = lease_until};
  CheckClaim(batch, task, claim);
  return story.emplace_back(claim);
}

void BatchLedger::CheckPaused(const std::string& what, const LedgerStory& story,
                              const LedgerEvent& claim) {
  for (const LedgerEvent& event : story) {
    if (event.op != Op::kPause || event.fate != Fate::kAccepted) continue;
    if (event.answered < claim.called &&
        !MayHave(story, {Op::kResume}, event.called, claim.answered))
      Breach(fmt::format("{} was given out while it was paused", what));
  }
}

void BatchLedger::CheckClaim(const Batch& batch, const ClaimedTask& task,
                             const LedgerEvent& claim) {
  uint64_t line = task.spec.line;
  std::string name = Name(batch, line);
  if (line >= batch.plan.lines) return Breach(name + " does not exist");
  if (batch.first && batch.IdOf(line) != task.id) Breach(name + " has another id");
  batches_.at(batch.plan.batch).first = model::TaskId{task.id.value - line};
  const LedgerStory& story = batch.lines.at(line);
  for (const LedgerEvent& event : story) {
    if (event.op == Op::kClaim && event.fence >= claim.fence)
      Breach(
          fmt::format("{}: fence {:#x} after {:#x}", name, claim.fence.value, event.fence.value));
    if (event.op != Op::kEdit || event.fate != Fate::kAccepted || event.answered > claim.called)
      continue;
    bool last = std::ranges::none_of(story, [&](const LedgerEvent& other) {
      return other.op == Op::kEdit && &other != &event && other.fate != Fate::kRefused &&
             other.answered > event.called;
    });
    if (last && !MayHave(story, {Op::kRequeue}, 0) && claim.priority != event.priority)
      Breach(fmt::format("{}: the edit to priority {} is lost, it has {}", name, event.priority,
                         claim.priority));
  }
  if (claim.attempt > batch.plan.max_attempts)
    Breach(fmt::format("{}: attempt {} of {}", name, claim.attempt, batch.plan.max_attempts));
  std::string ended = EndedBefore(batch, story, claim.called, claim.answered);
  if (!ended.empty()) Breach(fmt::format("{} was given out though {}", name, ended));
  for (const LedgerEvent& event : batch.story) {
    if (event.op == Op::kCutWaiting && event.fate == Fate::kAccepted &&
        event.answered < claim.called)
      Breach(name + " was given out though what waited was cancelled");
  }
  CheckPaused(name, batch.story, claim);
  CheckPaused(name, pauses_[task.spec.tenant], claim);
  CheckPaused(name, pauses_[task.spec.lane], claim);
}

void BatchLedger::CheckAnswers(const Batch& batch, uint64_t line) {
  const LedgerStory& story = batch.lines.at(line);
  for (const LedgerEvent& event : story) {
    bool with_fence = event.op == Op::kStart || event.op == Op::kComplete ||
                      event.op == Op::kFail || event.op == Op::kRelease;
    if (!with_fence || event.fate != Fate::kAccepted) continue;
    bool stale = std::ranges::any_of(story, [&](const LedgerEvent& other) {
      return other.op == Op::kClaim && other.fence > event.fence && other.answered < event.called;
    });
    bool told_twice = std::ranges::any_of(story, [&](const LedgerEvent& other) {
      return &other != &event && other.op == event.op && other.fence == event.fence;
    });
    if (told_twice) continue;
    if (stale)
      Breach(fmt::format("{}: the stale fence {:#x} was taken by call {} of kind {}",
                         Name(batch, line), event.fence.value, event.called,
                         static_cast<int>(event.op)));
    if (event.op == Op::kFail) continue;  // may say again that it failed: of a lost lease
    std::string ended = EndedBefore(batch, story, event.called, event.answered);
    if (!ended.empty()) Breach(fmt::format("{} went on though {}", Name(batch, line), ended));
  }
}

void BatchLedger::CheckEnding(const Batch& batch, const TaskRecord& record) {
  uint64_t line = record.spec.line;
  std::string name = Name(batch, line);
  static const LedgerStory kNothing;
  auto found = batch.lines.find(line);
  const LedgerStory& story = found == batch.lines.end() ? kNothing : found->second;
  if (record.id != batch.IdOf(line)) Breach(name + " has another id");
  if (record.attempts > batch.plan.max_attempts) Breach(name + " had too many attempts");
  auto requeues = [&](bool certain) {
    return static_cast<uint64_t>(std::ranges::count_if(story, [&](const LedgerEvent& event) {
      return event.op == Op::kRequeue &&
             (certain ? event.fate == Fate::kAccepted : event.fate != Fate::kRefused);
    }));
  };
  if (record.generation < requeues(true) || record.generation > requeues(false))
    Breach(fmt::format("{} is in generation {}, requeued {} to {} times", name, record.generation,
                       requeues(true), requeues(false)));
  if (record.state == State::kSucceeded) {
    bool told = std::ranges::any_of(story, [&](const LedgerEvent& event) {
      return event.op == Op::kComplete && event.fate != Fate::kRefused &&
             event.result == record.outcome.result && event.fence == record.fence;
    });
    if (!told) Breach(name + " has a result that was not taken");
  }
  bool cut = MayHave(batch.story, {Op::kCutAll, Op::kCutWaiting}, 0);
  if (record.state == State::kCancelled && !cut && !MayHave(story, {Op::kCancel}, 0))
    Breach(name + " was cancelled by nobody");
  if (record.state == State::kExpired && !batch.plan.expires_at) Breach(name + " expired");
  if (record.state == State::kFailed && !batch.damaged && !MayHave(story, {Op::kClaim}, 0))
    Breach(name + " failed without a claim");
}

// What was acknowledged is to be seen.
void BatchLedger::CheckAcknowledged(const Batch& batch, const View& view) {
  std::map<uint64_t, const TaskRecord*> ended;
  for (const TaskRecord& record : view.ended) ended[record.spec.line] = &record;
  for (const auto& [line, story] : batch.lines) {
    CheckAnswers(batch, line);
    for (const LedgerEvent& event : story) {
      if (event.fate != Fate::kAccepted || MayHave(story, {Op::kRequeue}, event.called)) continue;
      auto found = ended.find(line);
      const TaskRecord* record = found == ended.end() ? nullptr : found->second;
      if (event.op == Op::kComplete &&
          (record == nullptr || record->outcome.result != event.result))
        Breach(Name(batch, line) + ": an acknowledged result is lost");
      if (event.op == Op::kCancel && record != nullptr && record->state != State::kCancelled)
        Breach(Name(batch, line) + ": an acknowledged cancel is lost");
    }
  }
}

void BatchLedger::Check(const Batch& batch, const View& view, bool over) {
  std::string name = ToString(batch.plan.batch);
  std::set<uint64_t> lines;
  uint64_t last = 0;
  for (const TaskRecord& record : view.ended) {
    if (!lines.insert(record.spec.line).second) Breach(name + ": a line ended twice");
    if (record.finish_sequence <= last) Breach(name + ": endings are out of order");
    last = record.finish_sequence;
    CheckEnding(batch, record);
  }
  for (uint64_t line : view.without_result) {
    if (!lines.insert(line).second) Breach(name + ": a line with a result is said to have none");
  }
  if (lines.size() != batch.plan.lines) Breach(name + ": a line is missing");
  CheckAcknowledged(batch, view);
  if (view.stats.total() != batch.plan.lines)
    Breach(fmt::format("{}: {} lines are counted, not {}", name, view.stats.total(),
                       batch.plan.lines));
  bool may_be_cut = batch.plan.expires_at || batch.damaged ||
                    MayHave(batch.story, {Op::kCutAll, Op::kCutWaiting}, 0);
  if (over && !may_be_cut && !view.without_result.empty())
    Breach(fmt::format("{}: {} lines have no result", name, view.without_result.size()));
  if (batch.damaged) return;  // its lines cannot all be shown
  uint64_t counts[model::kStateCount] = {};
  for (const TaskRecord& record : view.all) ++counts[static_cast<size_t>(record.state)];
  if (view.all.size() != batch.plan.lines) Breach(name + ": not all lines are listed");
  for (int i = 0; i < model::kStateCount; ++i) {
    if (over && counts[i] != view.stats.by_state[i])
      Breach(fmt::format("{}: {} lines are {}, {} are counted", name, counts[i],
                         StateName(static_cast<State>(i)), view.stats.by_state[i]));
  }
}

std::string BatchLedger::Stories() const {
  static constexpr const char* kOps[] = {"claim",  "start",   "complete", "fail", "release",
                                         "cancel", "requeue", "edit",     "cut",  "cut waiting",
                                         "pause",  "resume",  "forget"};
  static constexpr const char* kFates[] = {"in doubt", "accepted", "refused"};
  std::string text;
  auto tell = [&text](const std::string& name, const LedgerStory& story) {
    text += name + "\n";
    for (const LedgerEvent& event : story)
      text += fmt::format("  {}..{} {} {:#x} {} {}\n", event.called,
                          event.fate == Fate::kDoubt ? 0 : event.answered,
                          kOps[static_cast<int>(event.op)], event.fence.value,
                          kFates[static_cast<int>(event.fate)], event.external ? "external" : "");
  };
  for (const auto& [id, batch] : batches_) {
    tell(ToString(id), batch.story);
    for (const auto& [line, story] : batch.lines) {
      std::string name = Name(batch, line);
      auto named = [&name](const std::string& breach) { return breach.starts_with(name); };
      if (std::ranges::any_of(breaches_, named)) tell(name, story);
    }
  }
  return text;
}

bool BatchLedger::MayBeRequeued(model::TaskId id) const {
  return std::ranges::any_of(batches_, [id](const auto& entry) {
    const Batch& batch = entry.second;
    auto line = batch.lines.find(id.value - batch.first.value);
    return batch.first && line != batch.lines.end() && MayHave(line->second, {Op::kRequeue}, 0);
  });
}

std::vector<TaskRef> BatchLedger::CertainLeases(base::SteadyTime stopped) const {
  std::vector<TaskRef> refs;
  for (const auto& [id, batch] : batches_) {
    if (batch.gone || batch.plan.expires_at || !batch.story.empty()) continue;
    for (const auto& [line, story] : batch.lines) {
      if (story.empty()) continue;
      auto last = story.rbegin();
      if (last->op == Op::kStart && last->fate == Fate::kAccepted) ++last;
      bool held = last != story.rend() && last->op == Op::kClaim && last->external &&
                  last->lease_until > stopped && last->answered < certain_ &&
                  !MayHave(story, {Op::kCancel}, last->called);  // asked before, done after
      if (held) refs.push_back({batch.IdOf(line), last->fence});
    }
  }
  return refs;
}

}  // namespace inferq::queue
