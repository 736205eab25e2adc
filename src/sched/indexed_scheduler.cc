#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sched/tenant_order.h"

namespace inferq::sched {
namespace {

/// Known while it has tasks here or is paused.
struct Batch {
  model::BatchId id;
  bool paused = false;
  Handle first = kNone;  ///< Of its tasks, linked in no order.
};

class IndexedScheduler final : public Scheduler {
 public:
  explicit IndexedScheduler(OrderPolicy policy) : policy_(policy) {
    INFERQ_CHECK(policy_.due_quota_window <= kMaxDueQuotaWindow);
    INFERQ_CHECK(policy_.prefix_window.count() >= 0);
  }

  void SetTenant(const std::string& tenant, TenantPolicy policy) override {
    tenants_.SetTenant(tenants_.TenantOf(tenant), policy);
  }
  void PauseTenant(const std::string& tenant, bool paused) override {
    tenants_.PauseTenant(tenants_.TenantOf(tenant), paused);
  }
  void PauseLane(const std::string& lane, bool paused) override {
    tenants_.PauseLane(tenants_.LaneOf(lane), paused);
  }
  void PauseBatch(model::BatchId batch, bool paused) override;

  void Add(Entry entry) override;
  bool Remove(model::TaskId id) override;
  bool Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) override;
  std::vector<model::TaskId> Pick(const PickRequest& request) override;
  std::optional<base::WallTime> NextEligible(std::span<const std::string> lanes,
                                             base::WallTime now) const override {
    return tenants_.NextEligible(lanes, now);
  }

  void Settle(const std::string& tenant, model::TokenCount charged,
              model::TokenCount actual) override {
    tenants_.Finish(tenants_.TenantOf(tenant),
                    static_cast<double>(actual) - static_cast<double>(charged));
  }
  void Refund(const std::string& tenant, model::TokenCount charged) override {
    tenants_.Finish(tenants_.TenantOf(tenant), -static_cast<double>(charged));
  }
  void Charge(const std::string& tenant, model::TokenCount cost) override {
    tenants_.Charge(tenants_.TenantOf(tenant), cost);
  }

  size_t waiting() const override { return ids_.size(); }
  size_t waiting_in(const std::string& lane) const override {
    const Lane* found = tenants_.FindLane(lane);
    return found ? found->waiting : 0;
  }
  size_t paused() const override { return waiting() - tenants_.waiting(); }
  std::optional<Standing> Explain(model::TaskId id, base::WallTime now) const override;

  std::vector<std::pair<std::string, double>> VirtualTimes() const override {
    return tenants_.VirtualTimes();
  }
  void RestoreVirtualTime(const std::string& tenant, double virtual_time) override {
    tenants_.Restore(tenants_.TenantOf(tenant), virtual_time);
  }

 private:
  /// Who is next, by which rule. `contested`: the lane whose other work stood against due work;
  /// null when nothing did.
  struct Choice {
    Item* item = nullptr;
    WaitingTasks* contested = nullptr;
  };

  Item& NewItem(const Entry& entry);
  void SetDeadline(Item& item, std::optional<base::WallTime> deadline);
  void DropDeadline(Item& item);
  void Drop(Item& item);

  Handle BatchOf(model::BatchId id);
  void JoinBatch(Item& item, model::BatchId id);
  void LeaveBatch(Item& item);
  void ForgetIfDone(Handle batch);
  template <class Fn>
  void ForEachOf(Handle batch, Fn fn);
  void Park(Handle batch);
  void Unpark(Handle batch);

  Item* Find(model::TaskId id) {
    Handle found = ids_.Find(id);
    return found == kNone ? nullptr : &store_.items[found];
  }
  bool Considers(const WaitingTasks& home, Kind kind) const {
    return tenants_.Named(home.lane) && !home.lane.paused && home.size(kind) > 0;
  }
  Choice Choose(const Tenant& tenant, base::WallTime now, Kind kind) const;
  Item* FollowPrefix(const Tenant& tenant, Item* head) const;
  void TakeChosen(const Choice& choice, Kind kind);

  const OrderPolicy policy_;
  TaskStore store_;
  IdTable<Item> ids_{store_.items};
  TenantOrder tenants_{store_, policy_};
  Pool<Batch> batches_;
  std::unordered_map<model::BatchId, Handle> batch_handles_;
};

Item& IndexedScheduler::NewItem(const Entry& entry) {
  INFERQ_CHECK(entry.cost >= 1 && entry.expected_run.count() >= 0);
  INFERQ_CHECK(ids_.Find(entry.id) == kNone);
  Handle handle = store_.items.Allocate();
  Item& item = store_.items[handle];
  item.id = entry.id;
  item.self = handle;
  item.key = entry.key;
  item.alone = entry.alone;
  item.interactive = entry.interactive;
  item.cost = entry.cost;
  item.expected_run = entry.expected_run;
  item.locality = entry.locality;
  SetDeadline(item, entry.deadline);
  ids_.Insert(handle);
  return item;
}

void IndexedScheduler::SetDeadline(Item& item, std::optional<base::WallTime> deadline) {
  if (!deadline) return DropDeadline(item);
  if (item.deadline == kNone) item.deadline = store_.deadlines.Allocate();
  store_.DeadlineOf(item).at = *deadline;
}

void IndexedScheduler::DropDeadline(Item& item) {
  if (item.deadline != kNone) store_.deadlines.Free(item.deadline);
  item.deadline = kNone;
}

void IndexedScheduler::Add(Entry entry) {
  Tenant& tenant = tenants_.TenantOf(entry.tenant);
  Lane& lane = tenants_.LaneOf(entry.lane);
  Item& item = NewItem(entry);
  item.home = &tenants_.HomeOf(tenant, lane);
  if (entry.batch) JoinBatch(item, entry.batch);
  if (item.parked) return;
  const WaitingTasks* home = item.home;
  tenants_.Coming({&home, 1});
  item.home->Insert(item);
  tenants_.Refile(*item.home);
}

void IndexedScheduler::Drop(Item& item) {
  if (!item.parked) item.home->Erase(item);
  tenants_.Refile(*item.home);
  if (item.batch != kNone) LeaveBatch(item);
  DropDeadline(item);
  ids_.Erase(item.id);
  store_.items.Free(item.self);
}

bool IndexedScheduler::Remove(model::TaskId id) {
  Item* item = Find(id);
  if (item) Drop(*item);
  return item != nullptr;
}

bool IndexedScheduler::Edit(model::TaskId id, Key key, std::optional<base::WallTime> deadline) {
  Item* item = Find(id);
  if (!item) return false;
  if (!item->parked) item->home->Erase(*item);
  item->key = key;
  SetDeadline(*item, deadline);
  if (!item->parked) item->home->Insert(*item);
  return true;
}

Handle IndexedScheduler::BatchOf(model::BatchId id) {
  auto [found, is_new] = batch_handles_.try_emplace(id, kNone);
  if (is_new) {
    found->second = batches_.Allocate();
    batches_[found->second].id = id;
  }
  return found->second;
}

void IndexedScheduler::JoinBatch(Item& item, model::BatchId id) {
  item.batch = BatchOf(id);
  Batch& batch = batches_[item.batch];
  item.parked = batch.paused;
  item.batch_after = std::exchange(batch.first, item.self);
  if (item.batch_after != kNone) store_.items[item.batch_after].batch_before = item.self;
}

void IndexedScheduler::LeaveBatch(Item& item) {
  Handle& before = item.batch_before == kNone ? batches_[item.batch].first
                                              : store_.items[item.batch_before].batch_after;
  before = item.batch_after;
  if (item.batch_after != kNone) store_.items[item.batch_after].batch_before = item.batch_before;
  ForgetIfDone(item.batch);
}

void IndexedScheduler::ForgetIfDone(Handle batch) {
  if (batches_[batch].paused || batches_[batch].first != kNone) return;
  batch_handles_.erase(batches_[batch].id);
  batches_.Free(batch);
}

template <class Fn>
void IndexedScheduler::ForEachOf(Handle batch, Fn fn) {
  for (Handle at = batches_[batch].first; at != kNone; at = store_.items[at].batch_after) {
    fn(store_.items[at]);
  }
}

void IndexedScheduler::PauseBatch(model::BatchId id, bool paused) {
  INFERQ_CHECK(id);
  Handle batch = BatchOf(id);
  if (batches_[batch].paused != paused) {
    batches_[batch].paused = paused;
    paused ? Park(batch) : Unpark(batch);
  }
  ForgetIfDone(batch);
}

void IndexedScheduler::Park(Handle batch) {
  ForEachOf(batch, [&](Item& item) {
    item.home->Erase(item);
    item.parked = true;
    tenants_.Refile(*item.home);
  });
}

void IndexedScheduler::Unpark(Handle batch) {
  std::set<const WaitingTasks*> homes;
  ForEachOf(batch, [&](Item& item) { homes.insert(item.home); });
  tenants_.Coming(std::vector(homes.begin(), homes.end()));
  ForEachOf(batch, [&](Item& item) {
    item.parked = false;
    item.home->Insert(item);
    tenants_.Refile(*item.home);
  });
}

IndexedScheduler::Choice IndexedScheduler::Choose(const Tenant& tenant, base::WallTime now,
                                                  Kind kind) const {
  Item* due = nullptr;
  Item* other = nullptr;
  for (WaitingTasks* home : tenant.homes) {
    if (!Considers(*home, kind)) continue;
    home->Advance(now, kind);
    due = EarlierDeadline(store_, due, home->FirstDue(kind));
    other = SmallerKey(other, home->FirstByKey(kind));
  }
  if (!other) return {due, nullptr};
  WaitingTasks* contested = due ? other->home : nullptr;
  if (due && other->home->DueMayGoFirst()) return {due, contested};
  return {kind == Kind::kAll ? FollowPrefix(tenant, other) : other, contested};
}

// Of several lanes' candidates the one that shares most, then the smallest key.
Item* IndexedScheduler::FollowPrefix(const Tenant& tenant, Item* head) const {
  if (policy_.prefix_window.count() == 0) return head;
  Alike best{.item = head};
  for (WaitingTasks* home : tenant.homes) {
    if (!Considers(*home, Kind::kAll)) continue;
    Alike alike = home->FirstAlike(head->key + policy_.prefix_window.count());
    if (!alike.item || alike.length < best.length) continue;
    best.item = alike.length == best.length ? SmallerKey(best.item, alike.item) : alike.item;
    best.length = alike.length;
  }
  return best.item;
}

void IndexedScheduler::TakeChosen(const Choice& choice, Kind kind) {
  Item& item = *choice.item;
  if (choice.contested) choice.contested->NoteChoice(item.due);
  if (!item.due && kind == Kind::kAll) item.home->Follow(item.locality);
  tenants_.Chosen(*item.home, item.cost, kind);
  Tenant& tenant = item.home->tenant;
  model::TokenCount cost = item.cost;
  Drop(item);
  tenants_.Charge(tenant, cost);
}

std::vector<model::TaskId> IndexedScheduler::Pick(const PickRequest& request) {
  tenants_.BeginPick(request.lanes, request.now);
  std::vector<model::TaskId> picked;
  picked.reserve(std::min<size_t>(request.max_tasks, waiting()));
  Kind kind = request.interactive_only ? Kind::kInteractive : Kind::kAll;
  model::TokenCount budget = request.token_budget;
  for (bool alone = false; picked.size() < request.max_tasks && !alone;) {
    const Tenant* tenant = tenants_.Next(kind);
    if (!tenant) break;
    Choice choice = Choose(*tenant, request.now, kind);
    model::TokenCount cost = choice.item->cost;
    alone = choice.item->alone;
    if (!picked.empty() && (alone || cost > budget)) break;
    picked.push_back(choice.item->id);
    TakeChosen(choice, kind);
    budget -= std::min(budget, cost);
  }
  return picked;
}

std::optional<Standing> IndexedScheduler::Explain(model::TaskId id, base::WallTime now) const {
  Handle found = ids_.Find(id);
  if (found == kNone) return std::nullopt;
  const Item& item = store_.items[found];
  item.home->Advance(now, Kind::kAll);
  Standing standing = tenants_.StandingOf(*item.home, now);
  standing.batch_paused = item.parked;
  standing.ahead_in_lane = item.home->Ahead(item, store_.IsDue(item, now));
  return standing;
}

}  // namespace

std::unique_ptr<Scheduler> MakeScheduler(OrderPolicy policy) {
  return std::make_unique<IndexedScheduler>(policy);
}

}  // namespace inferq::sched
