#pragma once

// For tests of journals: what a store holds, in words, and one of everything to be stored.

#include <string>
#include <vector>

#include "queue/local/journal.h"

namespace inferq::queue {

inline base::WallTime At(int64_t micros) { return base::WallTime(base::Micros(micros)); }

// ---- A store in words. A field that a version adds shows only where it is set, so that what
// ---- earlier versions said stays true.

inline std::string Show(const model::Extent& extent) {
  return fmt::format("{}:{}+{}", extent.blob, extent.offset, extent.length);
}

inline std::string Show(std::string_view name, const std::optional<base::WallTime>& time) {
  return time ? fmt::format(" {}={}", name, time->time_since_epoch().count()) : "";
}

inline std::string Show(const SpecRow& row) {
  const model::TaskSpec& s = row.spec;
  std::string text = fmt::format(
      "{} tenant={} lane={} key={} hash={:x} priority={}{}{}{} policy={} batch={} line={} "
      "payload={} cost={} attempts<={} trace={} submitted={} locality={:x},{:x},{:x},{:x} parents=",
      ToString(row.id), s.tenant, s.lane, s.idempotency_key, s.content_hash, s.priority,
      Show("not_before", s.not_before), Show("deadline", s.deadline),
      Show("expires_at", s.expires_at), static_cast<int>(s.parent_policy), s.batch.value, s.line,
      Show(s.payload), s.cost, s.max_attempts, s.traceparent,
      row.submitted.time_since_epoch().count(), s.locality[0], s.locality[1], s.locality[2],
      s.locality[3]);
  for (model::TaskId parent : s.parents) text += ToString(parent) + ",";
  return text;
}

inline std::string Show(const model::Outcome& outcome) {
  return fmt::format("code={} message={} result={}", static_cast<int>(outcome.code),
                     outcome.message, Show(outcome.result));
}

inline std::string Show(const StateRow& row) {
  std::string lease = row.lease_worker.empty()
                          ? ""
                          : fmt::format(" lease={} of {}", row.lease.count(), row.lease_worker);
  return fmt::format(
      "  {} version={} generation={} fence={:x} attempts={} crashes={} suspect={} eligible={}{} {} "
      "finish={}{}",
      StateName(row.state), row.version, row.generation, row.fence.value, row.attempts, row.crashes,
      row.suspect, row.eligible.time_since_epoch().count(), Show("retry_at", row.retry_at),
      Show(row.outcome), row.finish_sequence, lease);
}

inline std::string Show(const BatchRow& row) {
  const BatchPlan& p = row.plan;
  std::string text = fmt::format(
      "{} tenant={} lines={}..{} blobs={},{} cost={} priority={}{}{} attempts<={} trace={} "
      "first={} created={} pace={} cut={}/{} lanes=",
      ToString(p.batch), p.tenant, p.first_line, p.lines, p.input_blob, p.index_blob, p.mean_cost,
      p.priority, Show("deadline", p.deadline), Show("expires_at", p.expires_at), p.max_attempts,
      p.traceparent, ToString(row.first), row.created.time_since_epoch().count(), row.pace.count(),
      row.cut ? StateName(*row.cut) : "no", row.cut_message);
  for (const std::string& lane : p.lanes) text += lane + ",";
  text += " results=";
  for (uint64_t blob : row.results) text += fmt::format("{},", blob);
  return text;
}

inline std::string Show(const LineRow& row) {
  return fmt::format("  line {} {} finish={} generation={} version={} fence={:x} attempts={} {}",
                     row.line, StateName(row.state), row.finish_sequence, row.generation,
                     row.version, row.fence.value, row.attempts, Show(row.outcome));
}

// What a store shows at its opening.
class Words {
 public:
  RecoveryVisitor Visitor() {
    return {
        .on_task =
            [this](SpecRow spec, StateRow state, std::string checkpoint) {
              Add(Show(spec));
              Add(Show(state));
              if (!checkpoint.empty()) Add("  checkpoint " + checkpoint);
            },
        .on_key =
            [this](KeyRow row) {
              Add(fmt::format("key {}/{} {} {:x} {}", row.tenant, row.key, ToString(row.id),
                              row.content_hash, row.created.time_since_epoch().count()));
            },
        .on_tenant_time =
            [this](TenantTime row) {
              Add(fmt::format("time {} {}", row.tenant, row.virtual_time));
            },
        .on_meta =
            [this](Meta row) {
              Add(fmt::format("meta {} {} {} {}", row.incarnation, row.last_task, row.last_batch,
                              row.last_finish));
            },
        .on_batch =
            [this](BatchRow row) {
              Add(Show(row));
              batches_.push_back(row.plan.batch);
            },
        .on_line =
            [this](model::BatchId batch, uint64_t line, model::State state) {
              Add(fmt::format("ended {} {} {}", ToString(batch), line, StateName(state)));
            },
        .on_pause = [this](PauseRow row) { Add(fmt::format("pause {} {}", row.kind, row.name)); }};
  }
  /// Adds what only a reader shows: the lines of the batches, and earlier generations of
  /// tasks 1..8.
  base::Result<> Read(JournalReader& reader) {
    for (model::BatchId batch : batches_) {
      INFERQ_ASSIGN(auto lines, reader.Lines(batch, 0, 1000));
      if (!lines.empty()) Add("endings of " + ToString(batch));
      for (const LineRow& line : lines) Add(Show(line));
    }
    for (uint64_t id = 1; id <= 8; ++id) {
      for (model::Generation generation = 0; generation < 3; ++generation) {
        INFERQ_ASSIGN(auto past, reader.Past(model::TaskId{id}, generation));
        if (past) Add(fmt::format("past {} {} {}", id, generation, Show(past->outcome)));
      }
    }
    return {};
  }
  const std::string& text() const { return text_; }

 private:
  void Add(const std::string& line) { text_ += line + "\n"; }
  std::string text_;
  std::vector<model::BatchId> batches_;
};

// ---- One of everything that the version of today stores.

inline void AddTask(ChangeSet& changes, uint64_t number, model::State state) {
  model::TaskId id = model::MakeTaskId(0, number);
  bool ended = IsTerminal(state);
  SpecRow& spec = changes.specs.emplace_back();
  spec.id = id;
  spec.spec.tenant = number % 2 == 0 ? "acme" : "default";
  spec.spec.lane = "glm-4";
  spec.spec.priority = static_cast<int>(number) - 4;
  spec.spec.payload = {3, number * 100, 100};
  spec.spec.cost = 10 + number;
  spec.spec.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  spec.submitted = At(1'790'000'000'000'000 + static_cast<int64_t>(number));
  StateRow& row = changes.states.emplace_back();
  row.id = id;
  row.state = state;
  row.version = number;
  row.eligible = spec.submitted;
  row.fence = model::MakeFence(2, static_cast<uint32_t>(number));
  row.attempts = state == model::State::kRunning || ended ? 1 : 0;
  row.finish_sequence = ended ? number : 0;
  if (state == model::State::kSucceeded)
    row.outcome = {base::Code::kInternal, "", {7, number * 10, 9}};
  if (state == model::State::kFailed)
    row.outcome = {base::Code::kUnavailable, "it went \"away\"", {}};
}

inline BatchRow SomeBatch(uint64_t number, uint64_t lines) {
  BatchRow row;
  row.plan.batch = model::BatchId{number};
  row.plan.lanes = {"glm-4", "glm-4:law"};
  row.plan.lines = lines;
  row.plan.input_blob = 11;
  row.plan.index_blob = 12;
  row.first = model::MakeTaskId(0, number * 1000);
  row.created = At(1'790'000'000'000'000);
  return row;
}

inline LineRow SomeLine(uint64_t batch, uint64_t line, uint64_t finish) {
  return {.batch = model::BatchId{batch},
          .line = line,
          .finish_sequence = finish,
          .fence = model::MakeFence(3, static_cast<uint32_t>(finish)),
          .attempts = 1,
          .outcome = {base::Code::kInternal, "", {13, finish * 50, 49}}};
}

inline void AddBatches(ChangeSet& changes) {
  BatchRow& full = changes.batches.emplace_back(SomeBatch(21, 1000));
  full.plan.tenant = "acme";
  full.plan.first_line = 4;
  full.plan.mean_cost = 77;
  full.plan.priority = -3;
  full.plan.deadline = At(1'790'000'005'000'000);
  full.plan.expires_at = At(1'790'000'006'000'000);
  full.plan.max_attempts = 5;
  full.plan.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  full.pace = base::Micros(250);
  full.cut = model::State::kCancelled;
  full.cut_message = "stopped by its owner";
  full.results = {13, 14};
  changes.batches.push_back(SomeBatch(22, 3));
  changes.batches.push_back(SomeBatch(23, 3));
  changes.batches.back().forgotten = true;
  changes.lines = {SomeLine(21, 7, 101), SomeLine(21, 5, 102), SomeLine(22, 0, 103),
                   SomeLine(23, 0, 104)};
  LineRow& failed = changes.lines.emplace_back(SomeLine(21, 900, 105));
  failed.state = model::State::kFailed;
  failed.outcome = {base::Code::kUnavailable, "no backend", {}};
  failed.generation = 2;
  failed.version = 9;
}

/// One of everything.
inline ChangeSet Sample() {
  ChangeSet changes;
  for (uint64_t i = 0; i < model::kStateCount; ++i) {
    AddTask(changes, i + 1, static_cast<model::State>(i));
  }
  SpecRow& blocked = changes.specs[0];
  blocked.spec.parents = {model::TaskId{3}, model::TaskId{5}};
  blocked.spec.parent_policy = model::ParentPolicy::kAllTerminal;
  blocked.spec.not_before = At(1'790'000'001'000'000);
  blocked.spec.deadline = At(1'790'000'002'000'000);
  blocked.spec.expires_at = At(1'790'000'003'000'000);
  blocked.spec.locality = {1, 2, 3, 4};
  changes.states[0].retry_at = At(1'790'000'004'000'000);
  changes.states[0].crashes = 2;
  changes.states[0].suspect = true;
  changes.states[4].generation = 1;
  changes.specs[1].spec.idempotency_key = "order-17";
  changes.specs[1].spec.content_hash = 0xfeed;
  changes.specs[2].spec.batch = model::BatchId{9};
  changes.specs[2].spec.line = 41;
  changes.keys.push_back({"acme", "order-17", model::TaskId{2}, 0xfeed, At(1'790'000'000'000'002)});
  changes.checkpoints.push_back({model::TaskId{4}, "half way"});
  changes.tenant_times = {{"acme", 0.1}, {"default", 1234.5}};
  changes.meta = Meta{.incarnation = 3, .last_task = 30'000, .last_batch = 30, .last_finish = 200};
  StateRow& leased = changes.states[2];
  leased.lease_worker = "gpu-7";
  leased.lease = base::Micros(30'000'000);
  changes.past = {{model::TaskId{5}, 0, {base::Code::kAborted, "first try", {}}}};
  changes.pauses = {{0, "acme"}, {1, "22"}};
  AddBatches(changes);
  return changes;
}

}  // namespace inferq::queue
