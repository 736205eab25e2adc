#include <array>
#include <set>

#include "testing/history_checks.h"

namespace inferq::testing {

using base::Code;
using model::State;
using model::TaskId;
using model::TaskRecord;

namespace {

class SubmissionChecks : CheckPart {
 public:
  explicit SubmissionChecks(CheckContext& context) : CheckPart(context) {}

  void Run() {
    CheckSubmissions();
    CheckKeys();
    CheckCounts();
  }

 private:
  void CheckSubmissions() {
    std::set<uint64_t> present;
    for (const TaskRecord& record : final_.records) {
      uint64_t label = record.spec.payload.blob;
      if (!present.insert(label).second) Breach("I4: two tasks for submission #{}", label);
    }
    std::set<uint64_t> asked;
    for (const Submission& one : stories_.submissions()) {
      if (one.fate == Fate::kRefused) continue;
      size_t found = 0;
      for (const auto& spec : one.called->specs) {
        asked.insert(spec.payload.blob);
        found += present.contains(spec.payload.blob) ? 1 : 0;
      }
      bool whole = found == one.called->specs.size();
      if (!whole && (found > 0 || one.fate == Fate::kAccepted))
        Breach("I1: {} of {} tasks of submission {} are there", found, one.called->specs.size(),
               one.called->call);
    }
    for (uint64_t label : present) {
      if (!asked.contains(label)) Breach("I1: a task #{} that nobody submitted", label);
    }
  }

  void CheckKeys() {
    for (const Submission& one : stories_.submissions()) {
      if (one.fate == Fate::kRefused && one.answered->error == Code::kAlreadyExists) {
        CheckConflict(one);
      }
      if (one.fate != Fate::kAccepted) continue;
      for (size_t i = 0; i < one.called->specs.size(); ++i) CheckKey(one, i);
    }
  }
  struct Holder {
    TaskId id;
    uint64_t content = 0;
    base::WallTime since;
  };
  void CheckKey(const Submission& one, size_t index) {
    const model::TaskSpec& spec = one.called->specs[index];
    if (spec.idempotency_key.empty()) return;
    TaskId id = one.answered->ids.at(index);
    auto [holder, is_new] = holders_.try_emplace({spec.tenant, spec.idempotency_key},
                                                 Holder{id, spec.content_hash, one.called->wall});
    if (is_new || one.answered->wall - holder->second.since >= rules_.idempotency_ttl) return;
    if (holder->second.id != id)
      Breach("I4: key {} gave {} and {}", spec.idempotency_key, ToString(holder->second.id),
             ToString(id));
    if (holder->second.content != spec.content_hash)
      Breach("I4: key {} was accepted with other content", spec.idempotency_key);
  }
  // Somebody must have asked for other content under one of the keys.
  void CheckConflict(const Submission& refused) {
    for (const auto& spec : refused.called->specs) {
      for (const Submission& other : stories_.submissions()) {
        if (other.call_at > refused.answer_at) continue;
        for (const auto& its : other.called->specs) {
          if (its.tenant == spec.tenant && its.idempotency_key == spec.idempotency_key &&
              its.content_hash != spec.content_hash)
            return;
        }
      }
    }
    Breach("I4: submission {} was refused as a conflict with nothing", refused.called->call);
  }

  void CheckCounts() {
    std::array<uint64_t, model::kStateCount> counted{};
    std::set<uint64_t> endings;
    for (const TaskRecord& record : final_.records) {
      ++counted[static_cast<size_t>(record.state)];
      if (IsTerminal(record.state) != (record.finish_sequence > 0))
        Breach("I7: {} is {} with finish_sequence {}", ToString(record.id), StateName(record.state),
               record.finish_sequence);
      if (HasLease(record.state) != record.lease.has_value())
        Breach("I7: {} is {} {} lease", ToString(record.id), StateName(record.state),
               record.lease ? "with a" : "without");
      if (record.finish_sequence > 0 && !endings.insert(record.finish_sequence).second)
        Breach("I3: two endings have number {}", record.finish_sequence);
      if (rules_.all_ended && !IsTerminal(record.state))
        Breach("I1: {} has not ended: {}", ToString(record.id), StateName(record.state));
    }
    for (size_t i = 0; i < model::kStateCount; ++i) {
      if (counted[i] != final_.by_state[i])
        Breach("I7: {} tasks are {}, Stats say {}", counted[i], StateName(static_cast<State>(i)),
               final_.by_state[i]);
    }
  }

  std::map<std::pair<std::string, std::string>, Holder> holders_;  // by tenant and key
};

}  // namespace

void CheckSubmissions(CheckContext& context) { SubmissionChecks(context).Run(); }

}  // namespace inferq::testing
