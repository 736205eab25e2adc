// Random scripts of calls on a queue and on the plain model of its rules: each answer and, after
// each call, each record must be the same. A script that shows a difference is shrunk to a small
// one and printed.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <ostream>

#include "queue/conformance/queue_model.h"
#include "queue/conformance/queue_suite.h"

namespace inferq::queue {
namespace {

using namespace std::chrono_literals;
using model::State;
using model::TaskId;
using model::TaskSpec;

// The same scripts in every run unless RC_PARAMS says otherwise (e.g. "seed=7 max_success=10000").
const bool kSeeded = setenv("RC_PARAMS", "seed=1 max_success=2000", 0) == 0;

enum class What : uint8_t {
  kSubmit,
  kClaim,
  kStart,
  kRenew,
  kComplete,
  kFail,
  kCrash,
  kRelease,
  kCancel,
  kRequeue,
  kEdit,
  kWait,
  kRestart,
};
constexpr const char* kNames[] = {"Submit", "Claim", "Start",   "Renew",  "Complete",
                                  "Fail",   "Crash", "Release", "Cancel", "Requeue",
                                  "Edit",   "Wait",  "Restart"};

/// One call. `a`, `b` and `c` are read as it needs them: which task, how many, which fields.
struct Step {
  What what;
  uint32_t a, b, c;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  return out << kNames[static_cast<size_t>(step.what)] << "(" << step.a << "," << step.b << ","
             << step.c << ")";
}

rc::Gen<Step> AnyStep() {
  auto what = rc::gen::weightedElement<What>({{6, What::kSubmit},
                                              {6, What::kClaim},
                                              {5, What::kStart},
                                              {1, What::kRenew},
                                              {4, What::kComplete},
                                              {2, What::kFail},
                                              {2, What::kCrash},
                                              {1, What::kRelease},
                                              {1, What::kCancel},
                                              {2, What::kRequeue},
                                              {1, What::kEdit},
                                              {3, What::kWait},
                                              {1, What::kRestart}});
  auto number = rc::gen::inRange<uint32_t>(0, 1u << 16);
  return rc::gen::build<Step>(rc::gen::set(&Step::what, what), rc::gen::set(&Step::a, number),
                              rc::gen::set(&Step::b, number), rc::gen::set(&Step::c, number));
}

constexpr base::Micros kLease = 10s;
constexpr int kLongest = 150;  // script

/// A queue and the model of it, side by side.
class Pair {
 public:
  explicit Pair(const Implementation& implementation)
      : store_(implementation.make_store()), model_(Rules(), sim_.clock().Wall()) {
    options_.retry.jitter = 0;
    Open();
  }
  ~Pair() { (void)sim_.Run(queue_->Close()); }

  void Play(const Step& step) {
    switch (step.what) {
      case What::kSubmit:
        return Submit(step);
      case What::kClaim:
        return Claim(step);
      case What::kRenew:
        return Renew(step);
      case What::kWait:
        return Wait(step);
      case What::kRestart:
        return Restart();
      case What::kCancel:
      case What::kRequeue:
      case What::kEdit:
        return Change(step);
      default:
        return Work(step);
    }
  }

  void Compare() {
    QueryRequest request{.limit = 10'000};
    auto records = sim_.Run(queue_->Query(request)).value();
    RC_ASSERT(records.size() == model_.tasks().size());
    for (const auto& record : records) Compare(record, model_.tasks().at(record.id));
  }

 private:
  static QueueModel::Rules Rules() { return {}; }
  void Open() {
    queue_ = store_->MakeQueue(sim_, options_);
    RC_ASSERT(sim_.Run(queue_->Open()).has_value());
  }
  template <class T>
  static std::vector<T> One(T value) {
    std::vector<T> values;
    values.push_back(std::move(value));
    return values;
  }
  template <class T>
  static QueueModel::Code CodeOf(const base::Result<T>& result) {
    return result ? std::nullopt : std::optional(result.error().code());
  }
  base::WallTime Now() const { return sim_.clock().Wall(); }

  static void Compare(const model::TaskRecord& record, const QueueModel::Task& task) {
    RC_ASSERT(record.state == task.state);
    RC_ASSERT(record.generation == task.generation);
    RC_ASSERT(record.attempts == task.attempts);
    RC_ASSERT(record.crashes == task.crashes);
    RC_ASSERT(record.suspect == task.suspect);
    RC_ASSERT(record.eligible == task.eligible);
    RC_ASSERT(record.retry_at == task.retry_at);
    RC_ASSERT(record.finish_sequence == task.finish);
    RC_ASSERT(record.outcome.result.offset == task.result);
    RC_ASSERT(record.version == task.version);
    RC_ASSERT(record.lease.has_value() == HasLease(task.state));
    RC_ASSERT(record.spec.priority == task.spec.priority);
    RC_ASSERT(record.spec.parents == task.spec.parents);
  }

  void Submit(const Step& step) {
    std::vector<TaskSpec> specs;
    uint32_t bits = step.a;
    for (uint32_t i = 0; i <= step.b % 3; ++i, bits = bits * 31 + step.c)
      specs.push_back(Spec(bits, static_cast<uint32_t>(specs.size()), step.c));
    auto answer = sim_.Run(queue_->Submit(specs));
    auto [code, ids] = model_.Submit(specs, TaskId{last_ + 1});
    RC_ASSERT(CodeOf(answer) == code);
    if (code) return;
    RC_ASSERT(*answer == ids);
    for (TaskId id : ids) last_ = std::max(last_, id.value);
  }
  TaskSpec Spec(uint32_t bits, uint32_t index, uint32_t more) const {
    TaskSpec spec;
    spec.lane = bits % 2 == 0 ? "a" : "b";
    spec.priority = static_cast<int>(bits / 2 % 7) * 10 - 30;
    spec.max_attempts = 1 + bits / 16 % 3;
    spec.content_hash = bits / 64 % 4 == 0 ? 1 : 0;
    if (more % 5 == 0) spec.idempotency_key = fmt::format("k{}", bits / 8 % 4);
    if (bits / 128 % 8 == 0) spec.not_before = Now() + base::Micros(1 + more % 20'000'000);
    if (bits / 256 % 8 == 1) spec.expires_at = Now() + base::Micros(1 + more * 1000);
    if (bits / 512 % 2 == 0) spec.parent_policy = model::ParentPolicy::kAllTerminal;
    std::set<TaskId> parents;
    if (index > 0 && bits / 32 % 3 == 0) parents.insert(InThisCall(more % index));
    if (last_ > 0 && bits / 1024 % 3 == 0) parents.insert(TaskId{1 + more % last_});
    if (last_ > 0 && bits / 4096 % 3 == 0) parents.insert(TaskId{1 + bits % last_});
    spec.parents.assign(parents.begin(), parents.end());
    return spec;
  }

  void Claim(const Step& step) {
    ClaimRequest request{
        .worker = "w", .lanes = {"a"}, .max_tasks = 1 + step.a % 3, .lease = kLease};
    if (step.b % 3 > 0) request.lanes.push_back("b");
    auto claimed = sim_.Run(queue_->Claim(request)).value();
    std::vector<TaskId> expected =
        model_.Pick({request.lanes.begin(), request.lanes.end()}, request.max_tasks);
    RC_ASSERT(claimed.size() == expected.size());
    for (size_t i = 0; i < claimed.size(); ++i) {
      const QueueModel::Task& task = model_.tasks().at(expected[i]);
      RC_ASSERT(claimed[i].id == expected[i]);
      RC_ASSERT(claimed[i].fence > newest_fence_);
      RC_ASSERT(claimed[i].attempt == task.attempts + 1);
      RC_ASSERT(claimed[i].alone == task.suspect);
      newest_fence_ = claimed[i].fence;
      model_.Lease(expected[i], claimed[i].fence, kLease);
      claims_.push_back({claimed[i].id, claimed[i].fence});
    }
  }
  // Mostly one of the newest claims.
  std::optional<TaskRef> ClaimOf(const Step& step) const {
    if (claims_.empty()) return std::nullopt;
    size_t reach = step.b % 4 == 0 ? claims_.size() : std::min<size_t>(claims_.size(), 4);
    return claims_[claims_.size() - 1 - step.a % reach];
  }
  void Work(const Step& step) {
    auto ref = ClaimOf(step);
    if (!ref) return;
    auto [answer, code] = WorkOn(*ref, step);
    RC_ASSERT(CodeOf(answer) == code);
  }
  std::pair<base::Result<>, QueueModel::Code> WorkOn(TaskRef ref, const Step& step) {
    bool crash = step.what == What::kCrash;
    Completion completion{.task = ref, .result = {1, step.c, 1}};
    Failure failure{.task = ref,
                    .error = base::Error(base::Code::kUnavailable, "x"),
                    .retryable = step.c % 4 > 0,
                    .crashed = crash};
    switch (step.what) {
      case What::kStart:
        return {sim_.Run(queue_->Start(One(ref)))[0], model_.Start(ref)};
      case What::kComplete:
        return {sim_.Run(queue_->Complete(One(completion)))[0], model_.Complete(ref, step.c)};
      case What::kRelease:
        return {sim_.Run(queue_->Release(One(ref)))[0], model_.Release(ref)};
      default:
        return {sim_.Run(queue_->Fail(One(failure)))[0],
                model_.Fail(ref, failure.retryable, crash)};
    }
  }
  void Renew(const Step& step) {
    auto ref = ClaimOf(step);
    if (!ref) return;
    auto reply = sim_.Run(queue_->Renew(One(Renewal{.task = *ref, .lease = kLease})))[0];
    RC_ASSERT(reply == model_.Renew(*ref, kLease));
  }
  // Of a task that may not exist.
  void Change(const Step& step) {
    TaskId id{1 + step.a % (last_ + 1)};
    int priority = static_cast<int>(step.b % 7) * 10 - 30;
    EditRequest edit{.id = id, .priority = priority};
    if (step.c % 2 == 0) edit.if_version = 1 + step.c / 2 % 4;
    if (step.what == What::kCancel) {
      RC_ASSERT(CodeOf(sim_.Run(queue_->Cancel(One(id)))[0]) == model_.Cancel(id));
    } else if (step.what == What::kRequeue) {
      RC_ASSERT(CodeOf(sim_.Run(queue_->Requeue(One(id)))[0]) == model_.Requeue(id));
    } else {
      RC_ASSERT(CodeOf(sim_.Run(queue_->Edit(edit))) == model_.Edit(id, edit.if_version, priority));
    }
  }
  void Wait(const Step& step) {
    sim_.RunFor(base::Micros(step.a * (step.b % 3 == 0 ? 400 : 40)));
    model_.Advance(Now());
  }
  void Restart() {
    RC_ASSERT(sim_.Run(queue_->Close()).has_value());
    Open();
    model_.Restart();
  }

  testing::SimRuntime sim_;
  std::unique_ptr<Store> store_;
  LocalQueueOptions options_;
  std::unique_ptr<Queue> queue_;
  QueueModel model_;
  uint64_t last_ = 0;
  model::Fence newest_fence_;
  std::vector<TaskRef> claims_;
};

class ModelConformance : public ::testing::TestWithParam<Implementation> {};

TEST_P(ModelConformance, EveryScriptGivesWhatTheModelSays) {
  // Each script on the disk makes a store, and each step a commit: one in a hundred there.
  int every = GetParam().name == "Memory" ? 1 : 100;
  int count = 0;
  bool held = rc::check("a queue does what the model says", [&] {
    if (++count % every != 0) return;
    auto scripts = rc::gen::container<std::vector<Step>>(AnyStep());
    auto script = *rc::gen::withSize([&scripts](int size) {
      return rc::gen::resize(size * kLongest / rc::kNominalSize, scripts);
    });
    Pair pair(GetParam());
    for (const Step& step : script) {
      pair.Play(step);
      pair.Compare();
    }
  });
  EXPECT_TRUE(held);
}

INSTANTIATE_TEST_SUITE_P(Queues, ModelConformance, ::testing::ValuesIn(Implementations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace inferq::queue
