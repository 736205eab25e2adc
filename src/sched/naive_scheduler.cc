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
  bool paused = false;
  uint32_t running = 0;
  double bucket_full_at = 0;  ///< On the scale of `elapsed_`.
};

struct LaneState {
  bool paused = false;
  double highest_least = 0;  ///< At a pick, before its charge.
  double gave = 0;
  double largest = 0;
};

/// What is remembered of a tenant in a lane.
struct HomeState {
  bool guaranteed = false;
  double mark = 0;
  std::deque<bool> choices;  ///< True: due work went first.
  model::LocalityKey before{};
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
    INFERQ_CHECK(policy.min_share >= 0 && policy.min_share < 1);
    tenants_[tenant].policy = policy;
    UpdateGuarantees();
  }

  void PauseTenant(const std::string& tenant, bool paused) override {
    LetIn([&] { tenants_[tenant].paused = paused; });
  }
  void PauseLane(const std::string& lane, bool paused) override {
    LetIn([&] { lanes_[lane].paused = paused; });
  }
  void PauseBatch(model::BatchId batch, bool paused) override {
    LetIn([&] {
      std::erase(paused_batches_, batch);
      if (paused) paused_batches_.push_back(batch);
    });
  }

  void Add(Entry entry) override {
    tenants_[entry.tenant];
    lanes_[entry.lane];
    LetIn([&] { waiting_.push_back(std::move(entry)); });
  }

  bool Remove(model::TaskId id) override {
    bool removed = std::erase_if(waiting_, [&](auto& e) { return e.id == id; }) > 0;
    UpdateGuarantees();
    return removed;
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
    elapsed_ = ElapsedAt(request.now);
    last_pick_ = request.now;
    UpdateGuarantees();
    std::vector<model::TaskId> picked;
    model::TokenCount spent = 0;
    while (picked.size() < request.max_tasks) {
      std::optional<std::string> name = NextTenant(request);
      if (!name) break;
      Choice choice = NextTask(*name, request);
      const Entry& next = choice.entry;
      bool fits = next.cost <= request.token_budget - std::min(spent, request.token_budget);
      if (!picked.empty() && (next.alone || !fits)) break;
      NotePick(choice, request);
      std::erase_if(waiting_, [&](auto& e) { return e.id == next.id; });
      Charge(*name, next.cost);
      picked.push_back(next.id);
      spent += next.cost;
      if (next.alone) break;
    }
    return picked;
  }

  std::optional<base::WallTime> NextEligible(std::span<const std::string> lanes,
                                             base::WallTime now) const override {
    std::optional<base::WallTime> next;
    for (const Entry& e : waiting_) {
      const TenantState& tenant = tenants_.at(e.tenant);
      bool named = std::ranges::find(lanes, e.lane) != lanes.end();
      if (!named || IsPaused(e) || Capped(tenant) || !Throttled(tenant)) continue;
      if (tenant.policy.tokens_per_minute == 0) continue;
      base::WallTime at = now + base::Micros(std::max<int64_t>(0, Missing(tenant, now)));
      if (!next || at < *next) next = at;
    }
    return next;
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
    Pour(state, static_cast<double>(cost));
    ++state.running;
    UpdateGuarantees();
  }

  size_t waiting() const override { return waiting_.size(); }
  size_t waiting_in(const std::string& lane) const override {
    auto counts = [&](auto& e) { return e.lane == lane && !IsPaused(e); };
    return static_cast<size_t>(std::ranges::count_if(waiting_, counts));
  }
  size_t paused() const override {
    return static_cast<size_t>(
        std::ranges::count_if(waiting_, [&](auto& e) { return IsPaused(e); }));
  }

  std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const override {
    auto task = std::ranges::find_if(waiting_, [&](auto& e) { return e.id == id; });
    if (task == waiting_.end()) return std::nullopt;
    Standing standing;
    for (const Entry& e : waiting_) {
      if (e.tenant != task->tenant || e.lane != task->lane || BatchPaused(e)) continue;
      bool due = IsDue(e, now);
      bool before = IsDue(*task, now) ? due && DeadlineLess(e, *task) : due || KeyLess(e, *task);
      if (before) ++standing.ahead_in_lane;
    }
    const TenantState& tenant = tenants_.at(task->tenant);
    standing.tenant_paused = tenant.paused;
    standing.lane_paused = lanes_.at(task->lane).paused;
    standing.batch_paused = BatchPaused(*task);
    standing.tenant_capped = Capped(tenant);
    if (tenant.policy.tokens_per_minute == 0) {
      standing.throttled_until = base::WallTime::max();
    } else if (int64_t missing = Missing(tenant, now); missing > 0) {
      standing.throttled_until = now + base::Micros(missing);
    }
    standing.below_guarantee = Owed({task->tenant, task->lane}) > 0;
    standing.tenant_virtual_time = tenant.virtual_time;
    standing.least_virtual_time = LeastIn(task->lane).value_or(tenant.virtual_time);
    return standing;
  }

  std::vector<std::pair<std::string, double>> VirtualTimes() const override {
    std::optional<double> least;
    for (const Entry& e : waiting_) {
      double time = tenants_.at(e.tenant).virtual_time;
      if (!IsPaused(e) && (!least || time < *least)) least = time;
    }
    std::vector<std::pair<std::string, double>> times;
    for (const auto& [name, tenant] : tenants_) {
      double time = tenant.virtual_time;
      times.emplace_back(name, Waits(name) || !least ? time : std::max(time, *least));
    }
    return times;
  }

  void RestoreVirtualTime(const std::string& tenant, double virtual_time) override {
    tenants_[tenant].virtual_time = virtual_time;
    tenants_[tenant].restored = true;
  }

 private:
  /// A task that is next, and why.
  struct Choice {
    Entry entry;
    bool due = false;
    std::optional<TenantLane> contested;
  };

  // Who may be picked.

  bool BatchPaused(const Entry& e) const {
    return std::ranges::find(paused_batches_, e.batch) != paused_batches_.end();
  }
  bool IsPaused(const Entry& e) const {
    return BatchPaused(e) || lanes_.at(e.lane).paused || tenants_.at(e.tenant).paused;
  }
  bool Waits(const std::string& tenant) const {
    return std::ranges::any_of(waiting_,
                               [&](auto& e) { return e.tenant == tenant && !IsPaused(e); });
  }
  static bool Capped(const TenantState& tenant) {
    return tenant.running >= tenant.policy.max_running;
  }
  bool Throttled(const TenantState& tenant) const {
    return tenant.policy.tokens_per_minute == 0 || MissingAt(tenant, elapsed_) > 0;
  }
  bool IsEligible(const Entry& e) const {
    const TenantState& tenant = tenants_.at(e.tenant);
    return !IsPaused(e) && !Capped(tenant) && !Throttled(tenant);
  }
  static bool Names(const PickRequest& request, const std::string& lane) {
    return std::ranges::find(request.lanes, lane) != request.lanes.end();
  }
  bool Considers(const PickRequest& request, const Entry& e) const {
    if (request.interactive_only && !e.interactive) return false;
    return Names(request, e.lane) && IsEligible(e);
  }

  // Buckets.

  int64_t ElapsedAt(base::WallTime now) const {
    if (!last_pick_ || now < *last_pick_) return elapsed_;
    return elapsed_ + (now - *last_pick_).count();
  }
  /// Microseconds until the bucket has something in it; none or less when it has.
  static int64_t MissingAt(const TenantState& tenant, int64_t elapsed) {
    if (tenant.policy.tokens_per_minute == UINT64_MAX) return 0;
    return static_cast<int64_t>(std::floor(tenant.bucket_full_at - 60e6)) + 1 - elapsed;
  }
  int64_t Missing(const TenantState& tenant, base::WallTime now) const {
    return MissingAt(tenant, ElapsedAt(now));
  }
  void Pour(TenantState& tenant, double tokens) {
    uint64_t rate = tenant.policy.tokens_per_minute;
    if (rate == 0 || rate == UINT64_MAX) return;
    auto now = static_cast<double>(elapsed_);
    double full_at = std::max(now, tenant.bucket_full_at);
    full_at += tokens * 60e6 / static_cast<double>(rate);
    tenant.bucket_full_at = std::min(std::max(now, full_at), now + 1e15);
  }

  // Virtual times.

  /// The least virtual time of the tenants that are eligible in `lane`.
  std::optional<double> LeastIn(const std::string& lane) const {
    std::optional<double> least;
    for (const Entry& e : waiting_) {
      if (e.lane != lane || !IsEligible(e)) continue;
      double time = tenants_.at(e.tenant).virtual_time;
      if (!least || time < *least) least = time;
    }
    return least;
  }

  /// Makes a change; tenants that wait after it and did not before enter at the least of the
  /// current times, as before it, of the lanes that they wait in now.
  template <class Fn>
  void LetIn(Fn change) {
    std::map<std::string, double> current;
    for (auto& [name, lane] : lanes_) {
      current[name] = std::max(lane.highest_least, LeastIn(name).value_or(0));
    }
    std::map<std::string, bool> waited;
    for (auto& [name, tenant] : tenants_) waited[name] = Waits(name);
    change();
    std::map<std::string, double> enters;
    for (const Entry& e : waiting_) {
      if (IsPaused(e) || waited[e.tenant]) continue;
      auto [at, is_new] = enters.try_emplace(e.tenant, current[e.lane]);
      at->second = std::min(at->second, current[e.lane]);
    }
    for (auto& [name, at] : enters) {
      TenantState& tenant = tenants_[name];
      bool keeps = tenant.restored && !last_pick_;
      if (!keeps) tenant.virtual_time = std::max(tenant.virtual_time, at);
    }
    UpdateGuarantees();
  }

  void Correct(const std::string& tenant, double correction) {
    TenantState& state = tenants_[tenant];
    INFERQ_CHECK(state.running > 0);
    --state.running;
    state.virtual_time = std::max(0.0, state.virtual_time + correction / state.policy.weight);
    Pour(state, correction);
    UpdateGuarantees();
  }

  // Guarantees.

  /// After every change: raises the marks of those that became eligible.
  void UpdateGuarantees() {
    std::map<TenantLane, bool> now;
    for (const Entry& e : waiting_) {
      if (IsEligible(e) && tenants_[e.tenant].policy.min_share > 0) now[{e.tenant, e.lane}] = true;
    }
    for (auto& [place, home] : homes_) {
      if (!now.contains(place)) home.guaranteed = false;
    }
    for (auto& [place, unused] : now) {
      HomeState& home = homes_[place];
      if (!home.guaranteed) home.mark = std::max(home.mark, lanes_[place.second].gave);
      home.guaranteed = true;
    }
  }

  double Owed(const TenantLane& place) const {
    auto home = homes_.find(place);
    if (home == homes_.end() || !home->second.guaranteed) return 0;
    return lanes_.at(place.second).gave - home->second.mark;
  }

  /// The tenant furthest below its guarantee in one of the lanes. (Inside a lane by mark: taking it
  /// from `gave` rounds.)
  std::optional<std::string> MostOwed(const PickRequest& request) const {
    std::map<std::string, std::pair<double, std::string>> lowest;  // mark and tenant, by lane
    for (const auto& [place, home] : homes_) {
      if (!home.guaranteed || !Names(request, place.second)) continue;
      std::pair mark(home.mark, place.first);
      auto [found, is_new] = lowest.try_emplace(place.second, mark);
      found->second = std::min(found->second, mark);
    }
    std::optional<std::pair<double, std::string>> most;  // least first: owed, negative, and tenant
    for (const auto& [lane, mark] : lowest) {
      std::pair owed(mark.first - lanes_.at(lane).gave, mark.second);
      if (owed.first < 0 && (!most || owed < *most)) most = owed;
    }
    return most ? std::optional(most->second) : std::nullopt;
  }

  void MarkPick(const Entry& entry, const PickRequest& request) {
    auto cost = static_cast<double>(entry.cost);
    for (auto& [name, lane] : lanes_) {
      if (!Names(request, name)) continue;
      lane.largest = std::max(lane.largest, cost);
      HomeState& home = homes_[{entry.tenant, name}];
      if (home.guaranteed) {
        home.mark = std::clamp(home.mark, lane.gave - 64 * lane.largest, lane.gave);
        home.mark += cost / tenants_[entry.tenant].policy.min_share;
      }
      lane.gave += cost;
    }
  }

  // Picking.

  std::optional<std::string> NextTenant(const PickRequest& request) const {
    std::optional<std::string> best;
    if (!request.interactive_only) best = MostOwed(request);
    if (best) return best;
    for (const Entry& e : waiting_) {
      if (!Considers(request, e)) continue;
      double time = tenants_.at(e.tenant).virtual_time;
      if (!best || std::pair(time, e.tenant) < std::pair(tenants_.at(*best).virtual_time, *best)) {
        best = e.tenant;
      }
    }
    return best;
  }

  Choice NextTask(const std::string& tenant, const PickRequest& request) const {
    std::vector<Entry> due;
    std::vector<Entry> other;
    for (const Entry& e : waiting_) {
      if (e.tenant != tenant || !Considers(request, e)) continue;
      (IsDue(e, request.now) ? due : other).push_back(e);
    }
    std::ranges::sort(due, DeadlineLess);
    std::ranges::sort(other, KeyLess);
    if (other.empty()) return {due.front(), true, std::nullopt};
    std::optional<TenantLane> contested;
    if (!due.empty()) contested = TenantLane(tenant, other.front().lane);
    if (contested && QuotaAllowsDue(*contested)) return {due.front(), true, contested};
    return {request.interactive_only ? other.front() : MostAlike(other), false, contested};
  }

  Entry MostAlike(const std::vector<Entry>& by_key) const {
    Entry best = by_key.front();
    int best_shared = 0;
    if (policy_.prefix_window.count() == 0) return best;
    for (const Entry& e : by_key) {
      if (e.key > by_key.front().key + policy_.prefix_window.count()) break;
      auto home = homes_.find({e.tenant, e.lane});
      if (home == homes_.end()) continue;
      int shared = SharedPrefix(e.locality, home->second.before);
      if (shared <= best_shared) continue;
      best = e;
      best_shared = shared;
    }
    return best;
  }

  /// Whether due work, if it went first now, would have had at most half of the last
  /// `due_quota_window` choices.
  bool QuotaAllowsDue(const TenantLane& lane) const {
    uint32_t had = 0;
    auto found = homes_.find(lane);
    size_t known = found == homes_.end() ? 0 : found->second.choices.size();
    for (size_t back = 1; back < policy_.due_quota_window && back <= known; ++back) {
      if (found->second.choices[known - back]) ++had;
    }
    return had + 1 <= policy_.due_quota_window / 2;
  }

  void NotePick(const Choice& choice, const PickRequest& request) {
    const Entry& entry = choice.entry;
    if (choice.contested) homes_[*choice.contested].choices.push_back(choice.due);
    double& highest = lanes_[entry.lane].highest_least;
    highest = std::max(highest, *LeastIn(entry.lane));
    if (request.interactive_only) return;
    if (!choice.due) homes_[{entry.tenant, entry.lane}].before = entry.locality;
    MarkPick(entry, request);
  }

  const OrderPolicy policy_;
  std::vector<Entry> waiting_;
  std::vector<model::BatchId> paused_batches_;
  std::map<std::string, TenantState> tenants_;
  std::map<std::string, LaneState> lanes_;
  std::map<TenantLane, HomeState> homes_;
  int64_t elapsed_ = 0;  ///< Forward steps of `now` from pick to pick.
  std::optional<base::WallTime> last_pick_;
};

}  // namespace

std::unique_ptr<Scheduler> MakeNaiveScheduler(OrderPolicy policy) {
  return std::make_unique<NaiveScheduler>(policy);
}

}  // namespace inferq::sched
