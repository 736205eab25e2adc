#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/check.h"
#include "sched/waiting_tasks.h"

namespace inferq::sched {

struct Tenant {
  explicit Tenant(std::string n) : name(std::move(n)) {}

  bool capped() const { return running >= policy.max_running; }

  std::string name;
  TenantPolicy policy;
  double virtual_time = 0;
  bool restored = false;
  uint32_t running = 0;
  size_t waiting = 0;
  std::vector<WaitingTasks*> homes;  ///< In every lane it ever had a task in.
};

/// Orders the tenants of a lane. Holds the virtual time it was filed under.
struct TenantRank {
  double virtual_time;
  WaitingTasks* home;

  friend bool operator<(const TenantRank& a, const TenantRank& b) {
    if (a.virtual_time != b.virtual_time) return a.virtual_time < b.virtual_time;
    return a.home->tenant.name < b.home->tenant.name;
  }
};

struct Lane {
  std::set<TenantRank>& Eligible(Kind kind) { return eligible[static_cast<size_t>(kind)]; }
  const std::set<TenantRank>& Eligible(Kind kind) const {
    return eligible[static_cast<size_t>(kind)];
  }

  /// Highest least virtual time that waited here when a task was picked, before its charge.
  double clock = 0;
  size_t waiting = 0;
  uint64_t named_by = 0;  ///< Number of the last pick that named it.
  /// Tenants that wait here, with work of that kind, and are not capped.
  std::array<std::set<TenantRank>, kKinds.size()> eligible;
  std::unordered_map<const Tenant*, std::unique_ptr<WaitingTasks>> homes;
};

namespace {

class IndexedScheduler final : public Scheduler {
 public:
  explicit IndexedScheduler(OrderPolicy policy) : policy_(policy) {
    INFERQ_CHECK(policy_.due_quota_window <= kMaxDueQuotaWindow);
    INFERQ_CHECK(policy_.prefix_window.count() >= 0);
  }

  void SetTenant(const std::string& tenant, TenantPolicy policy) override {
    INFERQ_CHECK(policy.weight > 0 && std::isfinite(policy.weight));
    Change(TenantOf(tenant), [&](Tenant& t) { t.policy = policy; });
  }

  void Add(Entry entry) override;
  bool Remove(model::TaskId id) override;
  bool Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) override;
  std::vector<model::TaskId> Pick(const PickRequest& request) override;

  void Settle(const std::string& tenant, model::TokenCount charged,
              model::TokenCount actual) override {
    Finish(tenant, static_cast<double>(actual) - static_cast<double>(charged));
  }
  void Refund(const std::string& tenant, model::TokenCount charged) override {
    Finish(tenant, -static_cast<double>(charged));
  }
  void Charge(const std::string& tenant, model::TokenCount cost) override {
    Change(TenantOf(tenant), [&](Tenant& t) { Bill(t, cost); });
  }

  size_t waiting() const override { return items_.size(); }
  size_t waiting_in(const std::string& lane) const override {
    auto found = lanes_.find(lane);
    return found == lanes_.end() ? 0 : found->second.waiting;
  }
  std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const override;

  std::vector<std::pair<std::string, double>> VirtualTimes() const override;
  void RestoreVirtualTime(const std::string& tenant, double virtual_time) override {
    Change(TenantOf(tenant), [&](Tenant& t) {
      t.virtual_time = virtual_time;
      t.restored = true;
    });
  }

 private:
  /// The task before, in the pick under way.
  struct Previous {
    const Lane* lane = nullptr;
    model::LocalityKey locality{};
  };
  /// Who is next. `contested`: the lane whose other work stood against due work; null when nothing
  /// did.
  struct Choice {
    Item* item = nullptr;
    WaitingTasks* contested = nullptr;
  };

  Tenant& TenantOf(const std::string& name) {
    return tenants_.try_emplace(name, name).first->second;
  }
  WaitingTasks& HomeOf(Tenant& tenant, Lane& lane);

  /// Changes what the order of tenants depends on, and files the tenant anew in its lanes.
  template <class Fn>
  void Change(Tenant& tenant, Fn change);
  void Unlist(WaitingTasks& home);
  void Unlist(WaitingTasks& home, Kind kind);
  void List(WaitingTasks& home);

  static void Bill(Tenant& tenant, model::TokenCount cost) {
    tenant.virtual_time += static_cast<double>(cost) / tenant.policy.weight;
    ++tenant.running;
  }
  void Finish(const std::string& tenant, double correction);
  void Enter(Tenant& tenant, const Lane& lane);
  void Take(Item& item);

  Tenant* LeastTenant(Kind kind) const;
  Choice Choose(const Tenant& tenant, base::WallTime now, Kind kind,
                const Previous& previous) const;

  const OrderPolicy policy_;
  std::unordered_map<model::TaskId, Item> items_;
  std::map<std::string, Tenant> tenants_;
  std::unordered_map<std::string, Lane> lanes_;
  uint64_t picks_ = 0;
  std::vector<Lane*> named_;  ///< By the pick under way.
};

WaitingTasks& IndexedScheduler::HomeOf(Tenant& tenant, Lane& lane) {
  auto& home = lane.homes[&tenant];
  if (!home) {
    home = std::make_unique<WaitingTasks>(tenant, lane, policy_);
    tenant.homes.push_back(home.get());
  }
  return *home;
}

void IndexedScheduler::Unlist(WaitingTasks& home, Kind kind) {
  bool& listed = home.listed[static_cast<size_t>(kind)];
  if (!listed) return;
  home.lane.Eligible(kind).erase({home.tenant.virtual_time, &home});
  listed = false;
}

void IndexedScheduler::Unlist(WaitingTasks& home) {
  for (Kind kind : kKinds) Unlist(home, kind);
}

void IndexedScheduler::List(WaitingTasks& home) {
  for (Kind kind : kKinds) {
    bool& listed = home.listed[static_cast<size_t>(kind)];
    if (listed || home.size(kind) == 0 || home.tenant.capped()) continue;
    home.lane.Eligible(kind).insert({home.tenant.virtual_time, &home});
    listed = true;
  }
}

template <class Fn>
void IndexedScheduler::Change(Tenant& tenant, Fn change) {
  for (WaitingTasks* home : tenant.homes) Unlist(*home);
  change(tenant);
  for (WaitingTasks* home : tenant.homes) List(*home);
}

void IndexedScheduler::Finish(const std::string& tenant, double correction) {
  Change(TenantOf(tenant), [&](Tenant& t) {
    INFERQ_CHECK(t.running > 0);
    --t.running;
    t.virtual_time = std::max(0.0, t.virtual_time + correction / t.policy.weight);
  });
}

void IndexedScheduler::Enter(Tenant& tenant, const Lane& lane) {
  if (tenant.waiting > 0 || (tenant.restored && picks_ == 0)) return;
  double current = lane.clock;
  const auto& eligible = lane.Eligible(Kind::kAll);  // those who work here, at whatever
  if (!eligible.empty()) current = std::max(current, eligible.begin()->virtual_time);
  tenant.virtual_time = std::max(tenant.virtual_time, current);
}

void IndexedScheduler::Add(Entry entry) {
  INFERQ_CHECK(entry.cost >= 1 && entry.expected_run.count() >= 0);
  Tenant& tenant = TenantOf(entry.tenant);
  Lane& lane = lanes_[entry.lane];
  Enter(tenant, lane);
  WaitingTasks& home = HomeOf(tenant, lane);
  Item item{entry.id,       entry.key,   entry.deadline, entry.expected_run, entry.cost,
            entry.locality, entry.alone, false,          entry.interactive,  &home};
  auto [added, is_new] = items_.try_emplace(entry.id, item);
  INFERQ_CHECK(is_new);
  home.Insert(added->second);
  ++tenant.waiting;
  ++lane.waiting;
  List(home);
}

void IndexedScheduler::Take(Item& item) {
  WaitingTasks& home = *item.home;
  home.Erase(item);
  --home.tenant.waiting;
  --home.lane.waiting;
  for (Kind kind : kKinds) {
    if (home.size(kind) == 0) Unlist(home, kind);
  }
  items_.erase(item.id);
}

bool IndexedScheduler::Remove(model::TaskId id) {
  auto found = items_.find(id);
  if (found == items_.end()) return false;
  Take(found->second);
  return true;
}

bool IndexedScheduler::Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) {
  auto found = items_.find(id);
  if (found == items_.end()) return false;
  Item& item = found->second;
  item.home->Erase(item);
  item.key = key;
  item.deadline = deadline;
  item.home->Insert(item);
  return true;
}

Tenant* IndexedScheduler::LeastTenant(Kind kind) const {
  const TenantRank* least = nullptr;
  for (const Lane* lane : named_) {
    const auto& eligible = lane->Eligible(kind);
    if (eligible.empty()) continue;
    const TenantRank& first = *eligible.begin();
    if (!least || first < *least) least = &first;
  }
  return least ? &least->home->tenant : nullptr;
}

IndexedScheduler::Choice IndexedScheduler::Choose(const Tenant& tenant, base::WallTime now,
                                                  Kind kind, const Previous& previous) const {
  Item* due = nullptr;
  Item* other = nullptr;
  for (WaitingTasks* home : tenant.homes) {
    if (home->lane.named_by != picks_ || home->size(kind) == 0) continue;
    home->Advance(now, kind);
    due = EarlierDeadline(due, home->FirstDue(kind));
    other = SmallerKey(other, home->FirstByKey(kind));
  }
  if (!other) return {due, nullptr};
  WaitingTasks* contested = due ? other->home : nullptr;
  if (due && other->home->DueMayGoFirst()) return {due, contested};
  Key limit = other->key + policy_.prefix_window.count();
  for (WaitingTasks* home : tenant.homes) {
    if (&home->lane != previous.lane) continue;
    if (Item* alike = home->Alike(previous.locality, limit, kind)) return {alike, contested};
  }
  return {other, contested};
}

std::vector<model::TaskId> IndexedScheduler::Pick(const PickRequest& request) {
  ++picks_;
  named_.clear();
  for (const std::string& name : request.lanes) {
    auto found = lanes_.find(name);
    if (found == lanes_.end()) continue;
    found->second.named_by = picks_;
    named_.push_back(&found->second);
  }
  std::vector<model::TaskId> picked;
  picked.reserve(std::min<size_t>(request.max_tasks, items_.size()));
  Kind kind = request.interactive_only ? Kind::kInteractive : Kind::kAll;
  Previous previous;
  model::TokenCount budget = request.token_budget;
  while (picked.size() < request.max_tasks) {
    Tenant* tenant = LeastTenant(kind);
    if (!tenant) break;
    Choice choice = Choose(*tenant, request.now, kind, previous);
    const Item item = *choice.item;
    if (!picked.empty() && (item.alone || item.cost > budget)) break;
    if (choice.contested) choice.contested->NoteChoice(choice.item->due);
    Lane& lane = item.home->lane;
    lane.clock = std::max(lane.clock, lane.Eligible(Kind::kAll).begin()->virtual_time);
    picked.push_back(item.id);
    Take(*choice.item);
    Change(*tenant, [&](Tenant& t) { Bill(t, item.cost); });
    if (item.alone) break;
    budget -= std::min(budget, item.cost);
    previous = {&lane, item.locality};
  }
  return picked;
}

std::optional<Standing> IndexedScheduler::Explain(model::TaskId id, base::WallTime now) const {
  auto found = items_.find(id);
  if (found == items_.end()) return std::nullopt;
  WaitingTasks& home = *found->second.home;
  home.Advance(now, Kind::kAll);
  Standing standing;
  standing.ahead_in_lane = home.Ahead(found->second);
  standing.tenant_capped = home.tenant.capped();
  standing.tenant_virtual_time = home.tenant.virtual_time;
  const auto& eligible = home.lane.Eligible(Kind::kAll);
  standing.least_virtual_time =
      eligible.empty() ? home.tenant.virtual_time : eligible.begin()->virtual_time;
  return standing;
}

std::vector<std::pair<std::string, double>> IndexedScheduler::VirtualTimes() const {
  double least = INFINITY;
  for (const auto& [name, tenant] : tenants_) {
    if (tenant.waiting > 0) least = std::min(least, tenant.virtual_time);
  }
  std::vector<std::pair<std::string, double>> times;
  for (const auto& [name, tenant] : tenants_) {
    bool raise = tenant.waiting == 0 && std::isfinite(least);
    times.emplace_back(name, raise ? std::max(tenant.virtual_time, least) : tenant.virtual_time);
  }
  return times;
}

}  // namespace

std::unique_ptr<Scheduler> MakeScheduler(OrderPolicy policy) {
  return std::make_unique<IndexedScheduler>(policy);
}

}  // namespace inferq::sched
