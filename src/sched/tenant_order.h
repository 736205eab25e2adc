#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "sched/token_bucket.h"
#include "sched/waiting_tasks.h"

namespace inferq::sched {

struct Tenant {
  explicit Tenant(std::string n) : name(std::move(n)) {}

  bool capped() const { return running >= policy.max_running; }

  std::string name;
  TenantPolicy policy;
  double virtual_time = 0;
  bool restored = false;
  bool paused = false;
  uint32_t running = 0;
  TokenBucket bucket;
  std::optional<int64_t> throttled_until;  ///< Elapsed time; set while it is among the throttled.
  std::vector<WaitingTasks*> homes;        ///< In every lane it ever had a task in.
};

/// A tenant's place in a lane. Holds the rank it was filed under.
struct TenantRank {
  double rank;
  WaitingTasks* home;

  friend bool operator<(const TenantRank& a, const TenantRank& b) {
    if (a.rank != b.rank) return a.rank < b.rank;
    return a.home->tenant.name < b.home->tenant.name;
  }
};

struct Lane {
  std::set<TenantRank>& Eligible(Kind kind) { return eligible[static_cast<size_t>(kind)]; }
  const std::set<TenantRank>& Eligible(Kind kind) const {
    return eligible[static_cast<size_t>(kind)];
  }
  /// The lane's current virtual time.
  double Current() const;

  bool paused = false;
  size_t waiting = 0;  ///< Tasks that are not paused.
  /// Highest least virtual time that was eligible here when a task was picked, before its charge.
  double clock = 0;
  uint64_t named_by = 0;  ///< Number of the last pick that named it.
  double gave = 0;        ///< Cost of what was picked by picks that named it.
  double largest = 0;     ///< Of these costs.
  /// Tenants that are eligible here, with work of that kind, by virtual time.
  std::array<std::set<TenantRank>, kKinds.size()> eligible;
  /// Those of them with a guarantee, by mark.
  std::set<TenantRank> guaranteed;
  std::unordered_map<const Tenant*, std::unique_ptr<WaitingTasks>> homes;
};

/// Which tenant is next: rule 1 of the order, virtual times, guarantees, caps, buckets and pauses.
/// Knows of the tasks only how many wait where.
class TenantOrder {
 public:
  explicit TenantOrder(TaskStore& store, const OrderPolicy& policy)
      : store_(store), policy_(policy) {}

  Tenant& TenantOf(const std::string& name) {
    return tenants_.try_emplace(name, name).first->second;
  }
  Lane& LaneOf(const std::string& name) { return lanes_[name]; }
  const Lane* FindLane(const std::string& name) const;
  WaitingTasks& HomeOf(Tenant& tenant, Lane& lane);

  void SetTenant(Tenant& tenant, const TenantPolicy& policy);
  void PauseTenant(Tenant& tenant, bool paused);
  void PauseLane(Lane& lane, bool paused);
  void Restore(Tenant& tenant, double virtual_time);

  /// Tasks are about to come into these lanes, all by one call: a tenant that waits nowhere yet
  /// enters at the lanes' current virtual time.
  void Coming(std::span<const WaitingTasks* const> homes);
  /// A home has more or fewer tasks than before.
  void Refile(WaitingTasks& home);

  /// Begins a pick: refills the buckets and notes the lanes.
  void BeginPick(std::span<const std::string> lanes, base::WallTime now);
  bool Named(const Lane& lane) const { return lane.named_by == picks_; }
  /// The one of these that is next; null when none is eligible.
  Tenant* Next(Kind kind) const;
  /// A task of `home` is about to be taken out by the pick.
  void Chosen(const WaitingTasks& home, model::TokenCount cost, Kind kind);
  /// It counts as running.
  void Charge(Tenant& tenant, model::TokenCount cost);
  /// A charged one no longer runs; `correction` is what it cost more than was charged.
  void Finish(Tenant& tenant, double correction);

  std::optional<base::WallTime> NextEligible(std::span<const std::string> lanes,
                                             base::WallTime now) const;
  /// Tasks that are not paused.
  size_t waiting() const;
  /// All but what depends on the task alone.
  Standing StandingOf(const WaitingTasks& home, base::WallTime now) const;
  std::vector<std::pair<std::string, double>> VirtualTimes() const;

 private:
  /// Changes what the order of tenants depends on, and files the tenant anew in its lanes.
  template <class Fn>
  void Change(Tenant& tenant, Fn change);
  void Unlist(WaitingTasks& home);
  void List(WaitingTasks& home);
  static void Count(WaitingTasks& home);
  void FileBucket(Tenant& tenant);
  void NoteEntry(const WaitingTasks& home);
  void Enter();
  void MarkPick(const Tenant& tenant, double cost);

  static bool Waits(const WaitingTasks& home);
  static bool Waits(const Tenant& tenant);
  bool IsEligible(const WaitingTasks& home) const;
  const WaitingTasks* MostOwed() const;
  const WaitingTasks* LeastServed(Kind kind) const;

  TaskStore& store_;
  const OrderPolicy& policy_;
  std::map<std::string, Tenant> tenants_;
  std::unordered_map<std::string, Lane> lanes_;
  PickClock clock_;
  std::set<std::pair<int64_t, Tenant*>> throttled_;  ///< Empty buckets, by when that ends.
  std::unordered_map<Tenant*, double> entering_;     ///< At which virtual time.
  uint64_t picks_ = 0;
  std::vector<Lane*> named_;  ///< By the pick under way.
};

}  // namespace inferq::sched
