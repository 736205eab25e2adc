#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <set>

#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

// INFERQ_SCHED_HISTORIES=n plays n histories (default 1000) of up to 200 calls. The same ones in
// every run unless RC_PARAMS says otherwise (e.g. "seed=7 max_success=100000 max_size=200").
bool SetParameters() {
  const char* many = std::getenv("INFERQ_SCHED_HISTORIES");
  std::string parameters = fmt::format("seed=1 max_success={} max_size=200", many ? many : "1000");
  return setenv("RC_PARAMS", parameters.c_str(), 0) == 0;
}
const bool kSeeded = SetParameters();

/// One step of a random history. `kind` chooses what, the rest is read as that needs it.
struct Step {
  int kind;
  uint32_t a, b, c, d;
};

std::string Text(const std::optional<Standing>& s) {
  if (!s) return "not waiting";
  auto until = s->throttled_until.value_or(base::WallTime{}).time_since_epoch().count();
  return fmt::format("{} ahead, paused {} {} {}, capped {}, until {}, below {}, at {}, least {}",
                     s->ahead_in_lane, s->tenant_paused, s->lane_paused, s->batch_paused,
                     s->tenant_capped, until, s->below_guarantee, s->tenant_virtual_time,
                     s->least_virtual_time);
}

std::ostream& operator<<(std::ostream& out, const Step& s) {
  return out << "{" << s.kind << "," << s.a << "," << s.b << "," << s.c << "," << s.d << "}";
}

rc::Gen<Step> AnyStep() {
  auto number = rc::gen::inRange<uint32_t>(0, 1u << 16);
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, rc::gen::inRange(0, 26)),
                              rc::gen::set(&Step::a, number), rc::gen::set(&Step::b, number),
                              rc::gen::set(&Step::c, number), rc::gen::set(&Step::d, number));
}

/// Plays a history to both schedulers and compares every answer.
class Twins {
 public:
  explicit Twins(OrderPolicy policy)
      : policy_(policy), indexed_(MakeScheduler(policy)), naive_(MakeNaiveScheduler(policy)) {}

  void Play(const Step& step) {
    if (step.kind < 8) return Add(step);
    switch (step.kind) {
      case 8:
        return Remove(step);
      case 9:
        return Edit(step);
      case 10:
        return SetTenant(step);
      case 11:
        return End(step, true);
      case 12:
        return End(step, false);
      case 13:
        return Wait(step);
      case 14:
        return SetClockBack(step);
      case 15:
        return Charge(step);
      case 16:
        return Restore(step);
      case 17:
      case 18:
        return Pause(step);
      case 19:
        return AwaitBucket(step);
      default:
        return Pick(step);
    }
  }

  void Drain() {
    for (const char* tenant : kTenants) {
      Both([&](Scheduler& s) { s.SetTenant(tenant, {.weight = 1.5}); });
      Both([&](Scheduler& s) { s.PauseTenant(tenant, false); });
    }
    for (const char* lane : kLanes) Both([&](Scheduler& s) { s.PauseLane(lane, false); });
    for (uint64_t b = 1; b <= kBatches; ++b) Both([&](Scheduler& s) { s.PauseBatch({b}, false); });
    RC_ASSERT(indexed_->paused() == 0u);
    while (indexed_->waiting() > 0) {
      size_t before = indexed_->waiting();
      Pick({0, 7, 3, 0, 0});
      RC_ASSERT(indexed_->waiting() < before);
    }
    RC_ASSERT(naive_->waiting() == 0u);
  }

  static uint64_t calls() { return calls_; }

 private:
  static constexpr const char* kTenants[] = {"a", "b", "c"};
  static constexpr const char* kLanes[] = {"x", "y"};
  static constexpr uint64_t kBatches = 2;
  struct Running {
    std::string tenant;
    model::TokenCount cost;
  };

  void Both(auto fn) {
    fn(*indexed_);
    fn(*naive_);
  }
  /// A waiting id, or one that never was.
  model::TaskId Some(uint32_t n) const {
    if (waiting_.empty()) return {999'999};
    auto it = waiting_.begin();
    std::advance(it, n % waiting_.size());
    return it->first;
  }
  std::optional<base::WallTime> Deadline(uint32_t n) const {
    if (n % 3 == 0) return std::nullopt;
    return now_ + base::Micros(static_cast<int64_t>(n % 60) - 20);
  }

  void Add(const Step& s) {
    Entry entry{.id = {++last_id_}, .tenant = kTenants[s.a % 3], .lane = kLanes[s.b % 2]};
    int priority = static_cast<int>(s.c % 5) * 10 - 20;
    entry.key = MakeKey(now_, priority, 0, policy_);
    entry.deadline = Deadline(s.d);
    entry.expected_run = base::Micros(s.a / 3 % 8);
    entry.cost = 1 + s.b / 2 % 6;
    entry.alone = s.c / 5 % 10 == 0;
    entry.interactive = s.c / 50 % 3 == 0;
    entry.batch.value = s.c / 150 % (kBatches + 2);
    if (entry.batch.value > kBatches) entry.batch = {};
    for (size_t i = 0; i < s.d / 60 % 5 && i < entry.locality.size(); ++i) {
      entry.locality[i] = 1 + (s.d / 300 >> i) % 2;
    }
    waiting_[entry.id] = {entry.tenant, entry.cost};
    Both([&](Scheduler& scheduler) { scheduler.Add(entry); });
    Compare(entry.id);
  }

  void Remove(const Step& s) {
    model::TaskId id = Some(s.a);
    RC_ASSERT(indexed_->Remove(id) == naive_->Remove(id));
    waiting_.erase(id);
    Compare(Some(s.b));
  }

  void Edit(const Step& s) {
    model::TaskId id = Some(s.a);
    Key key = MakeKey(now_, static_cast<int>(s.b % 40), 0, policy_);
    auto deadline = Deadline(s.c);
    RC_ASSERT(indexed_->Edit(id, key, deadline) == naive_->Edit(id, key, deadline));
    Compare(id);
  }

  void SetTenant(const Step& s) {
    TenantPolicy policy{.weight = 0.5 + s.b % 4, .max_running = s.c % 4 ? s.c % 8 : UINT32_MAX};
    if (s.d % 2) policy.min_share = (s.d / 2 % 7 + 1) * 0.11;
    if (s.b / 4 % 3 == 0) policy.tokens_per_minute = s.b / 12 % 20;
    Both([&](Scheduler& scheduler) { scheduler.SetTenant(kTenants[s.a % 3], policy); });
    Compare(Some(s.d));
  }

  void Pause(const Step& s) {
    bool paused = s.b % 5 < 2;
    Both([&](Scheduler& scheduler) {
      if (s.a % 3 == 0) scheduler.PauseTenant(kTenants[s.c % 3], paused);
      if (s.a % 3 == 1) scheduler.PauseLane(kLanes[s.c % 2], paused);
      if (s.a % 3 == 2) scheduler.PauseBatch({1 + s.c % kBatches}, paused);
    });
    Compare(Some(s.d));
  }

  // A bucket takes seconds to fill, keys are microseconds apart.
  void Wait(const Step& s) {
    now_ += s.b % 3 ? base::Micros(s.a % 40) : std::chrono::milliseconds(s.a % 20'000);
  }
  void SetClockBack(const Step& s) {
    now_ -= s.b % 4 ? base::Micros(s.a % 10) : std::chrono::milliseconds(s.a % 5'000);
  }
  void AwaitBucket(const Step& s) {
    std::vector<std::string> lanes{kLanes[s.a % 2]};
    if (auto next = indexed_->NextEligible(lanes, now_)) {
      RC_ASSERT(*next >= now_);
      now_ = *next + base::Micros(s.b % 3 - 1);  // one too early, in time, one late
    }
  }

  void End(const Step& s, bool settle) {
    if (running_.empty()) return;
    auto it = running_.begin() + static_cast<ptrdiff_t>(s.a % running_.size());
    Both([&](Scheduler& scheduler) {
      settle ? scheduler.Settle(it->tenant, it->cost, s.b % 9)
             : scheduler.Refund(it->tenant, it->cost);
    });
    running_.erase(it);
    Compare(Some(s.c));
  }

  void Charge(const Step& s) {
    Running task{kTenants[s.a % 3], 1 + s.b % 5};
    Both([&](Scheduler& scheduler) { scheduler.Charge(task.tenant, task.cost); });
    running_.push_back(task);
    Compare(Some(s.c));
  }

  void Restore(const Step& s) {
    Both([&](Scheduler& scheduler) { scheduler.RestoreVirtualTime(kTenants[s.a % 3], s.b % 30); });
    Compare(Some(s.c));
  }

  void Pick(const Step& s) {
    std::vector<std::string> lanes;
    if (s.b % 4 != 1) lanes.push_back("x");
    if (s.b % 4 != 2) lanes.push_back("y");
    if (s.b % 4 == 0) lanes.push_back("x");
    PickRequest request{.lanes = lanes, .max_tasks = s.a % 8, .now = now_};
    if (s.c % 3 == 1) request.token_budget = s.d % 20;
    request.interactive_only = s.c / 3 % 3 == 1;
    std::vector<model::TaskId> picked = indexed_->Pick(request);
    RC_ASSERT(picked == naive_->Pick(request));
    for (model::TaskId id : picked) {
      running_.push_back(waiting_.at(id));
      waiting_.erase(id);
    }
    Compare(Some(s.d));
  }

  void Compare(model::TaskId id) {
    ++calls_;
    RC_ASSERT(indexed_->waiting() == waiting_.size());
    RC_ASSERT(naive_->waiting() == waiting_.size());
    RC_ASSERT(indexed_->paused() == naive_->paused());
    for (const char* lane : kLanes) {
      RC_ASSERT(indexed_->waiting_in(lane) == naive_->waiting_in(lane));
      std::vector<std::string> lanes{lane};
      RC_ASSERT(indexed_->NextEligible(lanes, now_) == naive_->NextEligible(lanes, now_));
    }
    RC_ASSERT(indexed_->VirtualTimes() == naive_->VirtualTimes());
    RC_ASSERT(Text(indexed_->Explain(id, now_)) == Text(naive_->Explain(id, now_)));
  }

  static inline uint64_t calls_ = 0;
  const OrderPolicy policy_;
  std::unique_ptr<Scheduler> indexed_;
  std::unique_ptr<Scheduler> naive_;
  base::WallTime now_{base::Micros(1'000'000)};
  uint64_t last_id_ = 0;
  std::map<model::TaskId, Running> waiting_;
  std::vector<Running> running_;
};

void PlayAHistory() {
  OrderPolicy policy;
  policy.aging_per_second = 1e6 * *rc::gen::inRange(1, 4);  // a point is worth 1 µs or less
  policy.due_quota_window = *rc::gen::inRange<uint32_t>(0, 7);
  policy.prefix_window = base::Micros(*rc::gen::element(0, 5, 50));
  auto history = *rc::gen::container<std::vector<Step>>(AnyStep());
  Twins twins(policy);
  for (const Step& step : history) twins.Play(step);
  twins.Drain();
}

TEST(SchedulerProperty, AgreesWithTheNaiveOracle) {
  EXPECT_TRUE(rc::check("agrees with the naive oracle", PlayAHistory));
  std::cout << "compared after each of " << Twins::calls() << " calls\n";
}

}  // namespace
}  // namespace inferq::sched
