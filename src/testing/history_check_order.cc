#include <set>

#include "testing/history_checks.h"

namespace inferq::testing {

using model::TaskId;
using model::TaskRecord;

namespace {

class OrderChecks : CheckPart {
 public:
  explicit OrderChecks(CheckContext& context) : CheckPart(context) {}

  void Run() {
    if (!rules_.max_running.empty()) CheckCaps();
    if (rules_.aging_per_second > 0) CheckOrder();
  }

 private:
  void CheckCaps() {
    for (const auto& [id, story] : stories_.tasks()) {
      for (const Claim& claim : story.claims) CheckCap(claim);
    }
  }
  void CheckCap(const Claim& claim) {
    const std::string& tenant = claim.entry->specs.at(0).tenant;
    auto cap = rules_.max_running.find(tenant);
    if (cap == rules_.max_running.end()) return;
    uint32_t running = 1;
    for (const auto& [id, story] : stories_.tasks()) {
      size_t last = LastClaimBefore(story, claim.at);
      if (last == SIZE_MAX || story.claims[last].entry->specs.at(0).tenant != tenant) continue;
      running += stories_.CertainlyLive(id, last, claim.at, claim.entry->at) ? 1 : 0;
    }
    if (running > cap->second)
      Breach("I7: tenant {} has {} leases, its cap is {}", tenant, running, cap->second);
  }
  static size_t LastClaimBefore(const Story& story, size_t at) {
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < story.claims.size() && story.claims[i].at < at; ++i) last = i;
    return last;
  }

  // --- I9: of tasks of one tenant and lane that nothing but their keys tells apart

  // Nothing was ever asked about it but to submit, claim and end it.
  bool IsPlain(TaskId id, const Story& story) {
    const model::TaskSpec& spec = *story.spec;
    return !spec.deadline && !spec.not_before && !spec.expires_at && spec.parents.empty() &&
           !parents_.contains(id) && story.Of(Op::kEdit).empty() &&
           story.Of(Op::kRequeue).empty() && story.Of(Op::kCancel).empty();
  }
  // Its place: eligible since, and how much sooner its priority puts it.
  double KeyOf(const TaskRecord& record) const {
    return static_cast<double>(record.eligible.time_since_epoch().count()) -
           record.spec.priority * 1e6 / rules_.aging_per_second;
  }
  void CheckOrder() {
    for (const TaskRecord& record : final_.records)
      parents_.insert(record.spec.parents.begin(), record.spec.parents.end());
    for (const Submission& one : stories_.submissions()) {  // also of children that were lost
      for (const auto& spec : one.called->specs)
        parents_.insert(spec.parents.begin(), spec.parents.end());
    }
    std::map<std::pair<std::string, std::string>, std::vector<TaskId>> groups;
    for (const auto& [id, story] : stories_.tasks()) {
      if (story.spec && records_.contains(id) && IsPlain(id, story))
        groups[{story.spec->tenant, story.spec->lane}].push_back(id);
    }
    for (const auto& [name, ids] : groups) {
      for (TaskId waiting : ids) {
        for (TaskId taken : ids) CheckPair(waiting, taken);
      }
    }
  }
  void CheckPair(TaskId waiting, TaskId taken) {
    const Story& story = stories_.Of(waiting);
    const Story& other = stories_.Of(taken);
    if (story.claims.empty() || other.claims.empty() || waiting == taken) return;
    bool waits = story.acknowledged_at < other.claims[0].call_at &&
                 other.claims[0].entry->fence < story.claims[0].entry->fence;
    double ahead = KeyOf(*records_.at(taken)) - KeyOf(*records_.at(waiting));
    if (waits && ahead >= 1)  // microseconds; rounding apart
      Breach("I9: {} was given out before {}, which is {} us ahead of it", ToString(taken),
             ToString(waiting), ahead);
  }

  std::set<TaskId> parents_;
};

}  // namespace

void CheckOrder(CheckContext& context) { OrderChecks(context).Run(); }

}  // namespace inferq::testing
