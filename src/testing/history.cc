#include "testing/history.h"

#include <algorithm>
#include <utility>

namespace inferq::testing {

namespace {

std::string_view KindName(Entry::Kind kind) {
  switch (kind) {
    case Entry::Kind::kCall:
      return "call";
    case Entry::Kind::kAnswer:
      return "answer";
    case Entry::Kind::kClaimed:
      return "claimed";
    case Entry::Kind::kStopped:
      return "STOPPED";
    case Entry::Kind::kOpened:
      return "OPENED";
    case Entry::Kind::kClosing:
      return "CLOSING";
    case Entry::Kind::kNote:
      return "note";
  }
  return "?";
}

std::string SpecText(const model::TaskSpec& spec) {
  std::string text = fmt::format(" [#{} {}/{}", spec.payload.blob, spec.tenant, spec.lane);
  if (!spec.idempotency_key.empty())
    text += fmt::format(" key={}:{}", spec.idempotency_key, spec.content_hash);
  if (spec.priority != 0) text += fmt::format(" prio={}", spec.priority);
  for (model::TaskId parent : spec.parents) text += fmt::format(" parent={}", ToString(parent));
  return text + "]";
}

std::string RecordText(const model::TaskRecord& record) {
  return fmt::format(" {} gen={} v={} attempts={} crashes={} finish={} result={}",
                     StateName(record.state), record.generation, record.version, record.attempts,
                     record.crashes, record.finish_sequence, record.outcome.result.offset);
}

bool IsAbout(const Entry& entry, model::TaskId task) {
  return entry.task == task || std::ranges::find(entry.ids, task) != entry.ids.end();
}

bool IsOfProcess(const Entry& entry) {
  return entry.kind == Entry::Kind::kStopped || entry.kind == Entry::Kind::kOpened ||
         entry.kind == Entry::Kind::kClosing;
}

}  // namespace

std::string_view OpName(Op op) {
  constexpr std::string_view kNames[] = {"submit",   "claim", "start",   "renew",
                                         "complete", "fail",  "release", "cancel",
                                         "requeue",  "edit",  "see"};
  return kNames[static_cast<size_t>(op)];
}

std::string Entry::ToString() const {
  std::string text = fmt::format("{:>13} {}", at.time_since_epoch().count(), KindName(kind));
  if (call != 0) text += fmt::format(" {} {}", call, OpName(op));
  if (task) text += fmt::format(" {}", model::ToString(task));
  if (fence) text += fmt::format(" fence={:#x}", fence.value);
  for (const model::TaskSpec& spec : specs) text += SpecText(spec);
  for (model::TaskId id : ids) text += fmt::format(" {}", model::ToString(id));
  if (kind == Kind::kClaimed)
    text += fmt::format(" by {} attempt={}{}", worker, attempt, alone ? " alone" : "");
  if (crashed) text += " crashed";
  if (result.length > 0) text += fmt::format(" result={}", result.offset);
  if (held != Held::kHeld) text += held == Held::kLost ? " lost" : " cancel requested";
  if (record) text += RecordText(*record);
  if (error) text += fmt::format(" REFUSED {}", base::CodeName(*error));
  return text + note;
}

void History::Add(Entry entry) {
  entry.at = clock_->Steady();
  entry.wall = clock_->Wall();
  entries_.push_back(std::move(entry));
}

void History::Note(std::string text) {
  Entry entry;
  entry.note = " " + std::move(text);
  Add(std::move(entry));
}

std::string History::ToString() const {
  std::string text;
  for (const Entry& entry : entries_) text += entry.ToString() + "\n";
  return text;
}

std::string History::About(model::TaskId task) const {
  std::string text;
  for (const Entry& entry : entries_) {
    if (IsAbout(entry, task) || IsOfProcess(entry)) text += entry.ToString() + "\n";
  }
  return text;
}

}  // namespace inferq::testing
