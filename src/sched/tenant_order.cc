#include "sched/tenant_order.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace inferq::sched {

namespace {
constexpr double kLongestCredit = 64;  // in tasks of the largest cost
}

double Lane::Current() const {
  const auto& here = Eligible(Kind::kAll);  // those who work here, at whatever
  return here.empty() ? clock : std::max(clock, here.begin()->rank);
}

const Lane* TenantOrder::FindLane(const std::string& name) const {
  auto found = lanes_.find(name);
  return found == lanes_.end() ? nullptr : &found->second;
}

WaitingTasks& TenantOrder::HomeOf(Tenant& tenant, Lane& lane) {
  auto& home = lane.homes[&tenant];
  if (!home) {
    home = std::make_unique<WaitingTasks>(tenant, lane, store_, policy_);
    tenant.homes.push_back(home.get());
  }
  return *home;
}

bool TenantOrder::Waits(const WaitingTasks& home) {
  return home.size(Kind::kAll) > 0 && !home.lane.paused && !home.tenant.paused;
}

bool TenantOrder::Waits(const Tenant& tenant) {
  return std::ranges::any_of(tenant.homes, [](const WaitingTasks* home) { return Waits(*home); });
}

bool TenantOrder::IsEligible(const WaitingTasks& home) const {
  return Waits(home) && !home.tenant.capped() && !home.tenant.throttled_until;
}

void TenantOrder::Unlist(WaitingTasks& home) {
  for (Kind kind : kKinds) {
    bool& listed = home.listed[static_cast<size_t>(kind)];
    if (listed) home.lane.Eligible(kind).erase({home.tenant.virtual_time, &home});
    listed = false;
  }
  if (home.guaranteed) home.lane.guaranteed.erase({home.mark, &home});
}

void TenantOrder::List(WaitingTasks& home) {
  Count(home);
  bool eligible = IsEligible(home);
  for (Kind kind : kKinds) {
    bool& listed = home.listed[static_cast<size_t>(kind)];
    listed = eligible && home.size(kind) > 0;
    if (listed) home.lane.Eligible(kind).insert({home.tenant.virtual_time, &home});
  }
  bool was_guaranteed =
      std::exchange(home.guaranteed, eligible && home.tenant.policy.min_share > 0);
  if (!home.guaranteed) return;
  if (!was_guaranteed) home.mark = std::max(home.mark, home.lane.gave);
  home.lane.guaranteed.insert({home.mark, &home});
}

void TenantOrder::Count(WaitingTasks& home) {
  home.lane.waiting -= home.counted;
  home.counted = Waits(home) ? home.size(Kind::kAll) : 0;
  home.lane.waiting += home.counted;
}

void TenantOrder::Refile(WaitingTasks& home) {
  Count(home);
  bool eligible = IsEligible(home);
  bool right = std::ranges::all_of(kKinds, [&](Kind kind) {
    return home.listed[static_cast<size_t>(kind)] == (eligible && home.size(kind) > 0);
  });
  if (right) return;
  Unlist(home);
  List(home);
}

template <class Fn>
void TenantOrder::Change(Tenant& tenant, Fn change) {
  for (WaitingTasks* home : tenant.homes) Unlist(*home);
  change(tenant);
  FileBucket(tenant);
  for (WaitingTasks* home : tenant.homes) List(*home);
}

void TenantOrder::FileBucket(Tenant& tenant) {
  int64_t filled_at = tenant.bucket.FilledAt();
  if (tenant.throttled_until) throttled_.erase({*tenant.throttled_until, &tenant});
  tenant.throttled_until.reset();
  if (filled_at <= clock_.elapsed()) return;
  tenant.throttled_until = filled_at;
  throttled_.emplace(filled_at, &tenant);
}

void TenantOrder::SetTenant(Tenant& tenant, const TenantPolicy& policy) {
  INFERQ_CHECK(policy.weight > 0 && std::isfinite(policy.weight));
  INFERQ_CHECK(policy.min_share >= 0 && policy.min_share < 1);
  Change(tenant, [&](Tenant& t) {
    t.policy = policy;
    t.bucket.SetRate(policy.tokens_per_minute);
  });
}

void TenantOrder::PauseTenant(Tenant& tenant, bool paused) {
  if (tenant.paused == paused) return;
  for (WaitingTasks* home : tenant.homes) {
    if (!paused && home->size(Kind::kAll) > 0 && !home->lane.paused) NoteEntry(*home);
  }
  Change(tenant, [&](Tenant& t) { t.paused = paused; });
  Enter();
}

void TenantOrder::PauseLane(Lane& lane, bool paused) {
  if (lane.paused == paused) return;
  for (auto& [tenant, home] : lane.homes) {
    if (!paused && home->size(Kind::kAll) > 0 && !tenant->paused) NoteEntry(*home);
  }
  lane.paused = paused;
  for (auto& [tenant, home] : lane.homes) Refile(*home);
  Enter();
}

void TenantOrder::Restore(Tenant& tenant, double virtual_time) {
  Change(tenant, [&](Tenant& t) {
    t.virtual_time = virtual_time;
    t.restored = true;
  });
}

void TenantOrder::Coming(std::span<const WaitingTasks* const> homes) {
  for (const WaitingTasks* home : homes) {
    if (!home->lane.paused && !home->tenant.paused) NoteEntry(*home);
  }
  Enter();
}

// Before the change, so that no newcomer is measured against another.
void TenantOrder::NoteEntry(const WaitingTasks& home) {
  Tenant& tenant = home.tenant;
  if (Waits(tenant) || (tenant.restored && picks_ == 0)) return;
  double current = home.lane.Current();
  auto [noted, is_new] = entering_.try_emplace(&tenant, current);
  if (!is_new) noted->second = std::min(noted->second, current);
}

void TenantOrder::Enter() {
  for (auto [tenant, at] : entering_) {
    Change(*tenant, [at](Tenant& t) { t.virtual_time = std::max(t.virtual_time, at); });
  }
  entering_.clear();
}

void TenantOrder::BeginPick(std::span<const std::string> lanes, base::WallTime now) {
  clock_.Advance(now);
  while (!throttled_.empty() && throttled_.begin()->first <= clock_.elapsed()) {
    Change(*throttled_.begin()->second, [](Tenant&) {});
  }
  ++picks_;
  named_.clear();
  for (const std::string& name : lanes) {
    auto lane = lanes_.find(name);
    if (lane == lanes_.end() || Named(lane->second)) continue;
    lane->second.named_by = picks_;
    named_.push_back(&lane->second);
  }
}

Tenant* TenantOrder::Next(Kind kind) const {
  const WaitingTasks* next = kind == Kind::kAll ? MostOwed() : nullptr;
  if (!next) next = LeastServed(kind);
  return next ? &next->tenant : nullptr;
}

const WaitingTasks* TenantOrder::MostOwed() const {
  const WaitingTasks* most = nullptr;
  double most_owed = 0;
  for (const Lane* lane : named_) {
    if (lane->guaranteed.empty()) continue;
    const WaitingTasks* home = lane->guaranteed.begin()->home;
    double owed = lane->gave - home->mark;
    bool tie = most && owed == most_owed && home->tenant.name < most->tenant.name;
    if (owed > most_owed || tie) most = home;
    most_owed = std::max(most_owed, owed);
  }
  return most;
}

const WaitingTasks* TenantOrder::LeastServed(Kind kind) const {
  const TenantRank* least = nullptr;
  for (const Lane* lane : named_) {
    const auto& eligible = lane->Eligible(kind);
    if (eligible.empty()) continue;
    const TenantRank& first = *eligible.begin();
    if (!least || first < *least) least = &first;
  }
  return least ? least->home : nullptr;
}

void TenantOrder::Chosen(const WaitingTasks& home, model::TokenCount cost, Kind kind) {
  Lane& lane = home.lane;
  lane.clock = std::max(lane.clock, lane.Eligible(Kind::kAll).begin()->rank);
  if (kind == Kind::kAll) MarkPick(home.tenant, static_cast<double>(cost));
}

void TenantOrder::MarkPick(const Tenant& tenant, double cost) {
  for (Lane* lane : named_) lane->largest = std::max(lane->largest, cost);
  for (WaitingTasks* home : tenant.homes) {
    if (!home->guaranteed || !Named(home->lane)) continue;
    const Lane& lane = home->lane;
    Unlist(*home);
    home->mark = std::clamp(home->mark, lane.gave - kLongestCredit * lane.largest, lane.gave) +
                 cost / tenant.policy.min_share;
    List(*home);
  }
  for (Lane* lane : named_) lane->gave += cost;
}

void TenantOrder::Charge(Tenant& tenant, model::TokenCount cost) {
  Change(tenant, [&](Tenant& t) {
    t.virtual_time += static_cast<double>(cost) / t.policy.weight;
    t.bucket.Take(static_cast<double>(cost), clock_.elapsed());
    ++t.running;
  });
}

void TenantOrder::Finish(Tenant& tenant, double correction) {
  INFERQ_CHECK(tenant.running > 0);
  Change(tenant, [&](Tenant& t) {
    t.virtual_time = std::max(0.0, t.virtual_time + correction / t.policy.weight);
    t.bucket.Take(correction, clock_.elapsed());
    --t.running;
  });
}

std::optional<base::WallTime> TenantOrder::NextEligible(std::span<const std::string> lanes,
                                                        base::WallTime now) const {
  auto held_up_only_by_it = [&](const std::string& name, const Tenant* tenant) {
    const Lane* lane = FindLane(name);
    if (!lane || tenant->capped()) return false;
    auto home = lane->homes.find(tenant);
    return home != lane->homes.end() && Waits(*home->second);
  };
  for (const auto& [until, tenant] : throttled_) {
    if (until == TokenBucket::kNever) break;
    bool held = std::ranges::any_of(
        lanes, [&](const std::string& name) { return held_up_only_by_it(name, tenant); });
    if (held) return now + base::Micros(std::max<int64_t>(0, until - clock_.At(now)));
  }
  return std::nullopt;
}

size_t TenantOrder::waiting() const {
  size_t count = 0;
  for (const auto& [name, lane] : lanes_) count += lane.waiting;
  return count;
}

Standing TenantOrder::StandingOf(const WaitingTasks& home, base::WallTime now) const {
  const Tenant& tenant = home.tenant;
  const auto& eligible = home.lane.Eligible(Kind::kAll);
  Standing standing;
  standing.tenant_paused = tenant.paused;
  standing.lane_paused = home.lane.paused;
  standing.tenant_capped = tenant.capped();
  standing.below_guarantee = home.guaranteed && home.mark < home.lane.gave;
  standing.tenant_virtual_time = tenant.virtual_time;
  standing.least_virtual_time = eligible.empty() ? tenant.virtual_time : eligible.begin()->rank;
  int64_t filled_at = tenant.bucket.FilledAt();
  int64_t elapsed = clock_.At(now);
  if (filled_at == TokenBucket::kNever) {
    standing.throttled_until = base::WallTime::max();
  } else if (filled_at > elapsed) {
    standing.throttled_until = now + base::Micros(filled_at - elapsed);
  }
  return standing;
}

std::vector<std::pair<std::string, double>> TenantOrder::VirtualTimes() const {
  double least = INFINITY;
  for (const auto& [name, tenant] : tenants_) {
    if (Waits(tenant)) least = std::min(least, tenant.virtual_time);
  }
  std::vector<std::pair<std::string, double>> times;
  for (const auto& [name, tenant] : tenants_) {
    bool raise = std::isfinite(least) && !Waits(tenant);
    times.emplace_back(name, raise ? std::max(tenant.virtual_time, least) : tenant.virtual_time);
  }
  return times;
}

}  // namespace inferq::sched
