#include "testing/history_stories.h"

#include <algorithm>
#include <array>

namespace inferq::testing {

using base::Code;
using Kind = Entry::Kind;

namespace {

Fate FateOf(const Entry& answer) {
  if (!answer.error) return Fate::kAccepted;
  bool open = *answer.error == Code::kUnavailable || *answer.error == Code::kResourceExhausted;
  return open ? Fate::kInDoubt : Fate::kRefused;
}

// A parent named by its index in the call (queue::InThisCall).
bool IsInCall(model::TaskId id) { return model::ShardOf(id) == 0xFFFF; }

// Calls that can end a lease.
constexpr std::array kEndings = {Op::kComplete, Op::kFail, Op::kRelease, Op::kCancel, Op::kRequeue};

}  // namespace

const std::vector<Try>& Story::Of(Op op) const {
  static const std::vector<Try> kNone;
  auto found = tries.find(op);
  return found == tries.end() ? kNone : found->second;
}

bool Story::MayHave(Op op, size_t after, size_t before) const {
  return std::ranges::any_of(Of(op), [&](const Try& one) {
    return one.fate != Fate::kRefused && one.call_at < before && one.answer_at > after;
  });
}

Stories::Stories(const History& history) {
  const std::vector<Entry>& entries = history.entries();
  for (size_t at = 0; at < entries.size(); ++at) {
    const Entry& entry = entries[at];
    if (entry.kind == Kind::kCall) AddCall(entry, at);
    if (entry.kind == Kind::kAnswer) AddAnswer(entry, at);
    if (entry.kind == Kind::kClaimed) AddClaim(entry, at);
    if (entry.kind == Kind::kStopped || entry.kind == Kind::kClosing) ends_.push_back(at);
    if (entry.kind == Kind::kClosing) closings_.emplace_back(at, SIZE_MAX);
    if (entry.kind == Kind::kOpened && !closings_.empty())
      closings_.back().second = std::min(closings_.back().second, at);
  }
}

void Stories::AddClaim(const Entry& entry, size_t at) {
  auto call = claim_calls_.find(entry.call);
  size_t call_at = call == claim_calls_.end() ? 0 : call->second;
  tasks_[entry.task].claims.push_back({&entry, at, call_at});
}

void Stories::AddCall(const Entry& entry, size_t at) {
  if (entry.op == Op::kSubmit) {
    submission_of_call_[entry.call] = submissions_.size();
    submissions_.push_back({.called = &entry, .call_at = at});
  } else if (entry.op == Op::kClaim) {
    claim_calls_[entry.call] = at;
  } else {
    std::vector<Try>& tries = tasks_[entry.task].tries[entry.op];
    open_[{entry.call, entry.task}] = {entry.op, tries.size()};
    tries.push_back({.called = &entry, .call_at = at});
  }
}

void Stories::AddAnswer(const Entry& entry, size_t at) {
  if (entry.op == Op::kSubmit) {
    Submission& submission = submissions_[submission_of_call_.at(entry.call)];
    submission.answered = &entry;
    submission.answer_at = at;
    submission.fate = FateOf(entry);
    if (submission.fate == Fate::kAccepted) AddSubmitted(submission);
    return;
  }
  auto open = open_.find({entry.call, entry.task});
  if (open == open_.end()) return;
  auto [op, index] = open->second;
  Try& one = tasks_[entry.task].tries[op][index];
  one.answered = &entry;
  one.answer_at = at;
  one.fate = FateOf(entry);
}

void Stories::AddSubmitted(Submission& submission) {
  const std::vector<model::TaskId>& ids = submission.answered->ids;
  for (size_t i = 0; i < ids.size() && i < submission.called->specs.size(); ++i) {
    Story& story = tasks_[ids[i]];
    if (story.spec) continue;
    story.spec = submission.called->specs[i];
    story.acknowledged_at = submission.answer_at;
    for (model::TaskId& parent : story.spec->parents) {
      if (IsInCall(parent)) parent = ids.at(model::SequenceOf(parent) - 1);
    }
  }
}

const Story& Stories::Of(model::TaskId id) const {
  static const Story kNone;
  auto found = tasks_.find(id);
  return found == tasks_.end() ? kNone : found->second;
}

bool Stories::ProcessEnded(size_t after, size_t before) const {
  return std::ranges::any_of(ends_, [&](size_t at) { return at > after && at < before; });
}

bool Stories::Closing(size_t at) const {
  return std::ranges::any_of(closings_,
                             [&](const auto& span) { return at > span.first && at < span.second; });
}

bool Stories::CertainlyLive(model::TaskId id, size_t claim, size_t at, base::SteadyTime now) const {
  const Story& story = Of(id);
  const Claim& given = story.claims[claim];
  if (ProcessEnded(given.at, at)) return false;
  for (Op op : kEndings) {
    if (story.MayHave(op, given.at, at)) return false;
  }
  base::SteadyTime until = given.entry->at + given.entry->lease;
  for (const Try& renewal : story.Of(Op::kRenew)) {
    bool of_this = renewal.called->fence == given.entry->fence && renewal.call_at < at;
    if (of_this && renewal.fate != Fate::kAccepted) return false;
    if (of_this && renewal.answered->held == Held::kHeld)
      until = renewal.called->at + renewal.called->lease;
  }
  auto expires = given.entry->specs.empty() ? std::nullopt : given.entry->specs[0].expires_at;
  return now < until && !expires;
}

}  // namespace inferq::testing
