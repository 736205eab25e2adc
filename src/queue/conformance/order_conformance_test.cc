// Random histories: the order against the naive scheduler, the states against a plain model.

#include <map>
#include <set>

#include "base/rng.h"
#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using base::Code;
using model::State;
using model::TaskId;
using model::TaskSpec;

/// One queue with its own virtual time. Two of them get the same calls.
class Side {
 public:
  Side(const Implementation& implementation, LocalQueueOptions options)
      : store_(implementation.make_store()), options_(std::move(options)) {
    Open();
  }
  ~Side() { (void)sim_.Run(queue_->Close()); }
  Queue* operator->() { return queue_.get(); }
  testing::SimRuntime& sim() { return sim_; }
  void Restart() {
    EXPECT_THAT(sim_.Run(queue_->Close()), Succeeds());
    Open();
  }

 private:
  void Open() {
    queue_ = store_->MakeQueue(sim_, options_);
    EXPECT_THAT(sim_.Run(queue_->Open()), Succeeds());
  }
  testing::SimRuntime sim_;
  std::unique_ptr<Store> store_;
  LocalQueueOptions options_;
  std::unique_ptr<Queue> queue_;
};

/// What a plain reading of the promises says about each task.
struct Model {
  struct Task {
    std::set<TaskId> parents;
    model::ParentPolicy policy;
    State ended = State::kQueued;  // terminal once it ended as seen by the client
    model::Fence fence;
    bool requeued = false;  // ever: then children that were let go are not called back
  };
  std::map<TaskId, Task> tasks;

  bool Ended(TaskId id) { return IsTerminal(tasks[id].ended); }
  // P6, checked at each claim.
  void CheckMayRun(TaskId id) {
    for (TaskId parent : tasks[id].parents) {
      if (tasks[parent].requeued) continue;
      EXPECT_TRUE(Ended(parent)) << ToString(id) << " was claimed before its parent ended";
      if (tasks[id].policy == model::ParentPolicy::kAllSucceeded) {
        EXPECT_EQ(tasks[parent].ended, State::kSucceeded);
      }
    }
  }
};

class OrderConformance : public ::testing::TestWithParam<Implementation> {
 protected:
  static LocalQueueOptions Options(bool naive) {
    LocalQueueOptions options;
    options.order.aging_per_second = 0.5;
    options.order.prefix_window = 2s;
    options.tenants["t0"] = {.weight = 3};
    options.tenants["t1"] = {.weight = 1, .max_running = 5};
    if (naive) options.make_scheduler = sched::MakeNaiveScheduler;
    return options;
  }
};

/// Draws calls, makes them on both sides and compares the answers.
class RandomHistory {
 public:
  RandomHistory(const Implementation& implementation, LocalQueueOptions fast,
                LocalQueueOptions naive, uint64_t seed)
      : rng_(seed),
        fast_(implementation, std::move(fast)),
        naive_(Implementations()[0], std::move(naive)) {}

  void Step() {
    switch (rng_.Below(16)) {
      case 0:
      case 1:
      case 2:
        return Submit();
      case 3:
      case 4:
      case 5:
        return Claim();
      case 6:
      case 7:
        return Complete();
      case 8:
        return Fail();
      case 9:
        return Release();
      case 10:
        return rng_.Chance(0.3) ? Cancel() : Edit();
      case 11:
        return Requeue();
      case 12:
      case 13:
        return Wait();
      case 14:
        return Renew();
      default:
        return rng_.Chance(0.1) ? Restart() : Wait();
    }
  }

  void CompareAll() {
    auto a = Records(fast_);
    auto b = Records(naive_);
    ASSERT_EQ(a.size(), b.size());
    uint64_t counts[model::kStateCount] = {};
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].id, b[i].id);
      EXPECT_EQ(a[i].state, b[i].state) << ToString(a[i].id);
      EXPECT_EQ(a[i].version, b[i].version);
      EXPECT_EQ(a[i].attempts, b[i].attempts);
      EXPECT_EQ(a[i].finish_sequence, b[i].finish_sequence);
      EXPECT_EQ(IsTerminal(a[i].state), a[i].finish_sequence > 0);
      EXPECT_EQ(HasLease(a[i].state), a[i].lease.has_value());
      ++counts[static_cast<size_t>(a[i].state)];
    }
    for (size_t i = 0; i < model::kStateCount; ++i)
      EXPECT_EQ(fast_->Stats({}).by_state[i], counts[i]) << i;
  }

 private:
  template <class Call>
  auto Both(Call call) {
    auto a = fast_.sim().Run(call(fast_));
    auto b = naive_.sim().Run(call(naive_));
    return std::pair(std::move(a), std::move(b));
  }
  // The same answers per item, on both.
  template <class Call>
  base::Result<> BothItems(Call call) {
    auto [a, b] = Both(std::move(call));
    EXPECT_EQ(a.size(), 1u);
    EXPECT_EQ(a[0].has_value(), b[0].has_value());
    return a[0];
  }
  std::vector<model::TaskRecord> Records(Side& side) {
    std::vector<model::TaskRecord> all;
    QueryRequest request{.limit = 100};
    while (true) {
      auto page = side.sim().Run(side->Query(request)).value();
      if (page.empty()) return all;
      request.after = page.back().id.value;
      all.insert(all.end(), page.begin(), page.end());
    }
  }
  TaskId Any() {
    if (ids_.empty()) return TaskId{1};
    return ids_[rng_.Below(ids_.size())];
  }
  std::optional<TaskRef> AnyClaim() {
    if (claims_.empty()) return std::nullopt;
    return claims_[rng_.Below(claims_.size())];
  }

  void Submit() {
    base::WallTime now = fast_.sim().clock().Wall();
    std::vector<TaskSpec> specs(1 + rng_.Below(4));
    std::string tenant = fmt::format("t{}", rng_.Below(3));
    for (TaskSpec& spec : specs) {
      spec.tenant = tenant;
      spec.lane = fmt::format("lane{}", rng_.Below(2));
      spec.priority = static_cast<int>(rng_.Below(21)) - 10;
      spec.cost = 1 + rng_.Below(50);
      spec.max_attempts = 1 + static_cast<uint32_t>(rng_.Below(3));
      spec.locality = {rng_.Below(3), rng_.Below(3), 0, 0};
      if (rng_.Chance(0.2)) spec.deadline = now + base::Micros(1 + rng_.Below(60'000'000));
      if (rng_.Chance(0.1)) spec.expires_at = now + base::Micros(1 + rng_.Below(120'000'000));
      if (rng_.Chance(0.1)) spec.not_before = now + base::Micros(rng_.Below(30'000'000));
      if (rng_.Chance(0.3)) AddParents(spec);
    }
    auto call = [&specs](Side& side) { return side->Submit(specs); };
    auto [a, b] = Both(call);
    ASSERT_THAT(a, Succeeds());
    ASSERT_EQ(*a, *b);
    for (size_t i = 0; i < specs.size(); ++i) {
      Model::Task task{.parents = {specs[i].parents.begin(), specs[i].parents.end()},
                       .policy = specs[i].parent_policy,
                       .fence = {}};
      model_.tasks[(*a)[i]] = std::move(task);
      tenant_of_[(*a)[i]] = tenant;
      ids_.push_back((*a)[i]);
    }
  }
  void AddParents(TaskSpec& spec) {
    std::set<TaskId> parents;
    for (int i = 0; i < 3; ++i) {
      TaskId id = Any();
      if (tenant_of_.contains(id) && tenant_of_[id] == spec.tenant) parents.insert(id);
    }
    spec.parents.assign(parents.begin(), parents.end());
    if (rng_.Chance(0.5)) spec.parent_policy = model::ParentPolicy::kAllTerminal;
  }
  void Claim() {
    ClaimRequest request{.worker = "w",
                         .lanes = {"lane0"},
                         .max_tasks = 1 + static_cast<uint32_t>(rng_.Below(4)),
                         .token_budget = 1 + rng_.Below(200)};
    if (rng_.Chance(0.7)) request.lanes.push_back("lane1");
    auto [a, b] = Both([&request](Side& side) { return side->Claim(request); });
    ASSERT_THAT(a, Succeeds());
    ASSERT_EQ(a->size(), b->size());
    RefreshModel();
    for (size_t i = 0; i < a->size(); ++i) {
      ASSERT_EQ((*a)[i].id, (*b)[i].id) << "not the one that the oracle picks";
      ASSERT_EQ((*a)[i].fence, (*b)[i].fence);
      auto& task = model_.tasks[(*a)[i].id];
      EXPECT_GT((*a)[i].fence, task.fence);
      task.fence = (*a)[i].fence;
      model_.CheckMayRun((*a)[i].id);
      claims_.push_back({(*a)[i].id, (*a)[i].fence});
      if (rng_.Chance(0.8)) {
        TaskRef ref = claims_.back();
        EXPECT_THAT(BothItems([ref](Side& side) { return side->Start({ref}); }), Succeeds());
      }
    }
  }
  void RefreshModel() {
    for (const auto& record : Records(fast_)) model_.tasks[record.id].ended = record.state;
  }
  void Complete() {
    auto ref = AnyClaim();
    if (!ref) return;
    Completion completion{.task = *ref, .cost = rng_.Below(60)};
    auto item = BothItems([completion](Side& side) { return side->Complete({completion}); });
    if (item) EXPECT_EQ(ref->fence, model_.tasks[ref->id].fence) << "a stale result was taken";
  }
  void Fail() {
    auto ref = AnyClaim();
    if (!ref) return;
    Failure failure{.task = *ref,
                    .error = base::Error(Code::kUnavailable, "x"),
                    .retryable = rng_.Chance(0.7),
                    .crashed = rng_.Chance(0.3)};
    auto item = BothItems([failure](Side& side) { return side->Fail({failure}); });
    if (item) EXPECT_EQ(ref->fence, model_.tasks[ref->id].fence);
  }
  void Release() {
    auto ref = AnyClaim();
    if (!ref) return;
    auto item = BothItems([r = *ref](Side& side) { return side->Release({r}); });
    if (item) EXPECT_EQ(ref->fence, model_.tasks[ref->id].fence);
  }
  void Renew() {
    auto ref = AnyClaim();
    if (!ref) return;
    Renewal renewal{.task = *ref};
    auto [a, b] = Both([renewal](Side& side) { return side->Renew({renewal}); });
    EXPECT_EQ(a, b);
  }
  void Cancel() {
    TaskId id = Any();
    (void)BothItems([id](Side& side) { return side->Cancel({id}); });
  }
  void Requeue() {
    TaskId id = Any();
    auto item = BothItems([id](Side& side) { return side->Requeue({id}); });
    if (item) model_.tasks[id].requeued = true;
  }
  void Edit() {
    EditRequest request{.id = Any(), .priority = static_cast<int>(rng_.Below(21)) - 10};
    auto [a, b] = Both([request](Side& side) { return side->Edit(request); });
    EXPECT_EQ(a.has_value(), b.has_value());
  }
  void Wait() {
    base::Micros time(rng_.Below(rng_.Chance(0.1) ? 40'000'000 : 3'000'000));
    fast_.sim().RunFor(time);
    naive_.sim().RunFor(time);
  }
  void Restart() {
    fast_.Restart();
    naive_.Restart();
  }

  base::Rng rng_;
  Side fast_;
  Side naive_;
  Model model_;
  std::vector<TaskId> ids_;
  std::map<TaskId, std::string> tenant_of_;
  std::vector<TaskRef> claims_;
};

TEST_P(OrderConformance, RandomHistoriesFollowTheOracle) {
  for (uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomHistory history(GetParam(), Options(false), Options(true), seed);
    for (int step = 0; step < 250 && !HasFailure(); ++step) history.Step();
    history.CompareAll();
  }
}

INSTANTIATE_TEST_SUITE_P(Queues, OrderConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
