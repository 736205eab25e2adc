#include <algorithm>
#include <cmath>
#include <deque>

#include "base/check.h"
#include "sched/scheduler.h"

// The order contract once more, as plainly as possible and sharing nothing with the indexed
// scheduler: one list, looked through from end to end for every question.

namespace inferq::sched {
namespace {

struct TenantState {
  TenantPolicy policy;
  double virtual_time = 0;
  bool restored = false;
  uint32_t running = 0;
};

using TenantLane = std::pair<std::string, std::string>;

bool IsDue(const Entry& entry, base::WallTime now) {
  return entry.deadline && now + entry.expected_run > *entry.deadline;
}

bool KeyLess(const Entry& a, const Entry& b) {
  return a.key != b.key ? a.key < b.key : a.id < b.id;
}

bool DeadlineLess(const Entry& a, const Entry& b) {
  return *a.deadline != *b.deadline ? *a.deadline < *b.deadline : a.id < b.id;
}

int SharedPrefix(const model::LocalityKey& a, const model::LocalityKey& b) {
  int shared = 0;
  for (size_t i = 0; i < a.size() && a[i] != 0 && a[i] == b[i]; ++i) ++shared;
  return shared;
}

class NaiveScheduler final : public Scheduler {
 public:
  explicit NaiveScheduler(OrderPolicy policy) : policy_(policy) {}

  void SetTenant(const std::string& tenant, TenantPolicy policy) override {
    tenants_[tenant].policy = policy;
  }

  void Add(Entry entry) override {
    TenantState& tenant = tenants_[entry.tenant];
    bool idle = std::ranges::none_of(waiting_, [&](auto& e) { return e.tenant == entry.tenant; });
    bool keeps = tenant.restored && !picked_before_;
    if (idle && !keeps) {
      double current = std::max(highest_least_[entry.lane], LeastIn(entry.lane).value_or(0));
      tenant.virtual_time = std::max(tenant.virtual_time, current);
    }
    waiting_.push_back(std::move(entry));
  }

  bool Remove(model::TaskId id) override {
    return std::erase_if(waiting_, [&](auto& e) { return e.id == id; }) > 0;
  }

  bool Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) override {
    for (Entry& entry : waiting_) {
      if (entry.id != id) continue;
      entry.key = key;
      entry.deadline = deadline;
      return true;
    }
    return false;
  }

  std::vector<model::TaskId> Pick(const PickRequest& request) override {
    picked_before_ = true;
    std::vector<model::TaskId> picked;
    std::optional<Entry> previous;
    model::TokenCount spent = 0;
    while (picked.size() < request.max_tasks) {
      std::optional<std::string> name = NextTenant(request);
      if (!name) break;
      bool went_due = false;
      std::optional<TenantLane> contested;
      Entry next = NextTask(*name, request, previous, &went_due, &contested);
      bool fits = next.cost <= request.token_budget - std::min(spent, request.token_budget);
      if (!picked.empty() && (next.alone || !fits)) break;
      if (contested) choices_[*contested].push_back(went_due);
      double& highest = highest_least_[next.lane];
      highest = std::max(highest, *LeastIn(next.lane));
      Remove(next.id);
      Charge(*name, next.cost);
      picked.push_back(next.id);
      spent += next.cost;
      previous = next;
      if (next.alone) break;
    }
    return picked;
  }

  void Settle(const std::string& tenant, model::TokenCount charged,
              model::TokenCount actual) override {
    Correct(tenant, static_cast<double>(actual) - static_cast<double>(charged));
  }
  void Refund(const std::string& tenant, model::TokenCount charged) override {
    Correct(tenant, -static_cast<double>(charged));
  }
  void Charge(const std::string& tenant, model::TokenCount cost) override {
    TenantState& state = tenants_[tenant];
    state.virtual_time += static_cast<double>(cost) / state.policy.weight;
    ++state.running;
  }

  size_t waiting() const override { return waiting_.size(); }
  size_t waiting_in(const std::string& lane) const override {
    return static_cast<size_t>(
        std::ranges::count_if(waiting_, [&](auto& e) { return e.lane == lane; }));
  }

  std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const override {
    auto task = std::ranges::find_if(waiting_, [&](auto& e) { return e.id == id; });
    if (task == waiting_.end()) return std::nullopt;
    Standing standing;
    for (const Entry& e : waiting_) {
      if (e.tenant != task->tenant || e.lane != task->lane) continue;
      bool due = IsDue(e, now);
      bool before = IsDue(*task, now) ? due && DeadlineLess(e, *task) : due || KeyLess(e, *task);
      if (before) ++standing.ahead_in_lane;
    }
    const TenantState& tenant = tenants_.at(task->tenant);
    standing.tenant_capped = tenant.running >= tenant.policy.max_running;
    standing.tenant_virtual_time = tenant.virtual_time;
    standing.least_virtual_time = LeastIn(task->lane).value_or(tenant.virtual_time);
    return standing;
  }

  std::vector<std::pair<std::string, double>> VirtualTimes() const override {
    std::optional<double> least;
    for (const Entry& e : waiting_) {
      double time = tenants_.at(e.tenant).virtual_time;
      if (!least || time < *least) least = time;
    }
    std::vector<std::pair<std::string, double>> times;
    for (const auto& [name, tenant] : tenants_) {
      bool waits = std::ranges::any_of(waiting_, [&](auto& e) { return e.tenant == name; });
      double time = tenant.virtual_time;
      times.emplace_back(name, waits || !least ? time : std::max(time, *least));
    }
    return times;
  }

  void RestoreVirtualTime(const std::string& tenant, double virtual_time) override {
    tenants_[tenant].virtual_time = virtual_time;
    tenants_[tenant].restored = true;
  }

 private:
  bool Eligible(const std::string& tenant) const {
    const TenantState& state = tenants_.at(tenant);
    return state.running < state.policy.max_running;
  }

  static bool Considers(const PickRequest& request, const Entry& entry) {
    if (request.interactive_only && !entry.interactive) return false;
    return std::ranges::find(request.lanes, entry.lane) != request.lanes.end();
  }

  /// The least virtual time of the tenants that wait in `lane` and are not capped.
  std::optional<double> LeastIn(const std::string& lane) const {
    std::optional<double> least;
    for (const Entry& e : waiting_) {
      if (e.lane != lane || !Eligible(e.tenant)) continue;
      double time = tenants_.at(e.tenant).virtual_time;
      if (!least || time < *least) least = time;
    }
    return least;
  }

  std::optional<std::string> NextTenant(const PickRequest& request) const {
    std::optional<std::string> best;
    for (const Entry& e : waiting_) {
      if (!Considers(request, e) || !Eligible(e.tenant)) continue;
      double time = tenants_.at(e.tenant).virtual_time;
      if (!best || std::pair(time, e.tenant) < std::pair(tenants_.at(*best).virtual_time, *best)) {
        best = e.tenant;
      }
    }
    return best;
  }

  Entry NextTask(const std::string& tenant, const PickRequest& request,
                 const std::optional<Entry>& previous, bool* went_due,
                 std::optional<TenantLane>* contested) const {
    std::vector<Entry> due;
    std::vector<Entry> other;
    for (const Entry& e : waiting_) {
      if (e.tenant != tenant || !Considers(request, e)) continue;
      (IsDue(e, request.now) ? due : other).push_back(e);
    }
    std::ranges::sort(due, DeadlineLess);
    std::ranges::sort(other, KeyLess);
    if (other.empty()) return due.front();
    if (!due.empty()) {
      *contested = TenantLane(tenant, other.front().lane);
      *went_due = QuotaAllowsDue(**contested);
      if (*went_due) return due.front();
    }
    Entry best = other.front();
    int best_shared = 0;
    for (const Entry& e : other) {
      if (!previous || e.lane != previous->lane) continue;
      if (e.key > other.front().key + policy_.prefix_window.count()) continue;
      int shared = SharedPrefix(e.locality, previous->locality);
      if (policy_.prefix_window.count() > 0 && shared > best_shared) {
        best = e;
        best_shared = shared;
      }
    }
    return best;
  }

  /// Whether due work, if it went first now, would have had at most half of the last
  /// `due_quota_window` choices.
  bool QuotaAllowsDue(const TenantLane& lane) const {
    uint32_t had = 0;
    auto found = choices_.find(lane);
    size_t known = found == choices_.end() ? 0 : found->second.size();
    for (size_t back = 1; back < policy_.due_quota_window && back <= known; ++back) {
      if (found->second[known - back]) ++had;
    }
    return had + 1 <= policy_.due_quota_window / 2;
  }

  void Correct(const std::string& tenant, double correction) {
    TenantState& state = tenants_[tenant];
    INFERQ_CHECK(state.running > 0);
    --state.running;
    state.virtual_time = std::max(0.0, state.virtual_time + correction / state.policy.weight);
  }

  const OrderPolicy policy_;
  std::vector<Entry> waiting_;
  std::map<std::string, TenantState> tenants_;
  std::map<std::string, double> highest_least_;     ///< By lane; at a pick, before its charge.
  std::map<TenantLane, std::deque<bool>> choices_;  ///< True: due work went first.
  bool picked_before_ = false;
};

}  // namespace

std::unique_ptr<Scheduler> MakeNaiveScheduler(OrderPolicy policy) {
  return std::make_unique<NaiveScheduler>(policy);
}

}  // namespace inferq::sched
