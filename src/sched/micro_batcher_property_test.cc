#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "sched/micro_batcher.h"

namespace inferq::sched {
namespace {

using base::Code;
using base::Micros;
using base::SteadyTime;

constexpr SteadyTime kStart{std::chrono::hours(1)};

using Ids = std::vector<CallId>;

// Random histories against a model that looks at everything.

/// The rules of MicroBatcher's comment over a plain list.
class NaiveBatcher {
 public:
  struct Item {
    Call call;
    uint64_t number = 0;  // in the order of coming
    SteadyTime came{};
    SteadyTime hold_until{};
    std::optional<SteadyTime> timeout = {};
    std::optional<SteadyTime> delayed = {};
  };

  explicit NaiveBatcher(MicroBatchOptions options) : options_(std::move(options)) {}

  Code Add(Call call, SteadyTime now) {
    if (call.timeout < Micros(0)) return Code::kInvalidArgument;
    Expire(now);
    if (call.level == 0 || call.level > options_.priority_levels) {
      call.level = options_.default_priority_level;
    }
    if (std::ranges::count(items_, call.id, IdOf) > 0) return Code::kAlreadyExists;
    const QueuePolicy& policy = PolicyOf(call);
    auto level = std::ranges::count(items_, call.level, [](auto& i) { return i.call.level; });
    if (policy.max_queue_size > 0 && static_cast<uint64_t>(level) >= policy.max_queue_size) {
      return Code::kResourceExhausted;
    }
    Micros timeout = policy.default_timeout;
    if (policy.allow_timeout_override && call.timeout != Micros(0)) timeout = call.timeout;
    Item item{.call = call, .number = ++last_number_, .came = now};
    item.hold_until = now + options_.max_queue_delay;
    if (timeout != Micros(0)) {
      item.timeout = now + timeout;
      item.hold_until = now + std::min(options_.max_queue_delay, timeout / 2);
    }
    items_.push_back(item);
    return Code::kCancelled;  // stands for OK
  }

  bool Cancel(CallId id) {
    return std::erase_if(items_, [id](auto& item) { return item.call.id == id; }) > 0;
  }

  Ids Next(SteadyTime now, uint32_t free) {
    Expire(now);
    if (free == 0 || items_.empty()) return {};
    std::vector<Item> order = items_;
    std::ranges::sort(order, [this](auto& a, auto& b) { return Before(a, b); });
    size_t size = 0;
    uint64_t tokens = 0;
    uint64_t most = options_.max_batch_tokens;
    auto joins = [&](const Call& call) {
      if (size == 0) return true;
      if (size == options_.max_batch_size || call.shape != order[0].call.shape) return false;
      return most == 0 || tokens + call.tokens <= most;
    };
    while (size < order.size() && joins(order[size].call)) tokens += order[size++].call.tokens;
    bool closed = size < order.size() || size == options_.max_batch_size;
    if (most > 0 && tokens >= most) closed = true;
    size_t leaves = 0;
    for (size_t preferred : options_.preferred_batch_size) {
      if (preferred <= size) leaves = std::max(leaves, preferred);
    }
    bool held = std::ranges::all_of(items_, [now](auto& item) { return item.hold_until > now; });
    if (leaves == 0 && (closed || !held)) leaves = size;
    Ids ids;
    for (size_t i = 0; i < leaves; ++i) ids.push_back(order[i].call.id);
    for (CallId id : ids) Cancel(id);
    return ids;
  }

  Ids TakeRejected(SteadyTime now) {
    Expire(now);
    return std::exchange(rejected_, {});
  }

  /// Tries each microsecond, as far as any hold or timeout of these tests goes.
  std::optional<SteadyTime> NextDeadline(SteadyTime now, uint32_t free) const {
    NaiveBatcher trial = *this;
    trial.Expire(now);
    if (!trial.rejected_.empty()) return now;
    for (SteadyTime t = now; t <= now + Micros(40); t += Micros(1)) {
      NaiveBatcher copy = trial;
      if (!copy.Next(t, free).empty() || !copy.rejected_.empty()) return t;
      if (copy.Delayed() != trial.Delayed()) return t;
    }
    return std::nullopt;
  }

  size_t waiting() const { return items_.size(); }

 private:
  static CallId IdOf(const Item& item) { return item.call.id; }

  const QueuePolicy& PolicyOf(const Call& call) const {
    auto found = options_.priority_queue_policy.find(call.level);
    if (found != options_.priority_queue_policy.end()) return found->second;
    return options_.default_queue_policy;
  }

  bool Before(const Item& a, const Item& b) const {
    if (options_.aging_per_level == Micros(0)) {
      if (a.call.level != b.call.level) return a.call.level < b.call.level;
      if (a.delayed.has_value() != b.delayed.has_value()) return !a.delayed;
    } else if (Standing(a) != Standing(b)) {
      return Standing(a) < Standing(b);
    }
    return a.number < b.number;
  }

  SteadyTime Standing(const Item& item) const {
    SteadyTime standing = item.delayed.value_or(item.came);
    uint32_t below = item.call.level + (item.delayed ? 1 : 0);
    for (uint32_t i = 0; i < below; ++i) standing += options_.aging_per_level;
    return standing;
  }

  /// In the order of timeouts, then of coming.
  void Expire(SteadyTime now) {
    std::vector<Item> over;
    for (auto& item : items_) {
      if (!item.timeout || *item.timeout > now) continue;
      if (PolicyOf(item.call).timeout_action == TimeoutAction::kDelay) {
        item.delayed = std::exchange(item.timeout, std::nullopt);
      } else {
        over.push_back(item);
      }
    }
    std::ranges::sort(over, {}, [](auto& item) { return std::pair(*item.timeout, item.number); });
    for (auto& item : over) {
      rejected_.push_back(item.call.id);
      Cancel(item.call.id);
    }
  }

  int64_t Delayed() const {
    return std::ranges::count_if(items_, [](auto& item) { return item.delayed.has_value(); });
  }

  MicroBatchOptions options_;
  std::vector<Item> items_;
  uint64_t last_number_ = 0;
  Ids rejected_;
};

// The same histories in every run unless RC_PARAMS says otherwise.
const bool kSeeded = setenv("RC_PARAMS", "seed=1 max_success=1000 max_size=200", 0) == 0;

struct Step {
  uint32_t kind = 0, a = 0, b = 0, c = 0, d = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& s) {
  return out << "{" << s.kind << "," << s.a << "," << s.b << "," << s.c << "," << s.d << "}";
}

rc::Gen<Step> AnyStep() {
  auto number = rc::gen::inRange<uint32_t>(0, 1u << 16);
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, rc::gen::inRange<uint32_t>(0, 10)),
                              rc::gen::set(&Step::a, number), rc::gen::set(&Step::b, number),
                              rc::gen::set(&Step::c, number), rc::gen::set(&Step::d, number));
}

/// Plays one history to both and follows each call to its end.
class Twins {
 public:
  explicit Twins(const MicroBatchOptions& options)
      : options_(options), real_(MicroBatcher::Make(options).value()), naive_(options) {}

  void Play(const Step& s) {
    if (s.kind < 5) Add(s);
    if (s.kind == 5) Cancel(1 + s.a % (last_id_ + 1));
    if (s.kind == 6) now_ += Micros(s.a % 15);
    if (s.kind == 7) Reject();
    if (s.kind >= 8) Flush(s.a % 5 == 4 ? UINT32_MAX : s.a % 5);
    if (s.b % 8 == 0) CompareDeadlines(s.c % 3 ? 1 : 0);
  }

  /// Lets time pass until nothing waits: each call ends once.
  void Drain() {
    Flush(UINT32_MAX);
    now_ += Micros(200);
    Flush(UINT32_MAX);
    RC_ASSERT(real_->waiting() == 0u);
    RC_ASSERT(live_.empty());
  }

 private:
  void Add(const Step& s) {
    static const std::vector<std::string> kShapes{"a", "a", "a", "b"};
    Call call{.id = s.d % 10 == 0 ? 1 + s.a % (last_id_ + 1) : last_id_ + 1,
              .shape = kShapes[s.a % 4],
              .tokens = s.b % 6,
              .level = s.c % 5,
              .timeout = Micros(s.d % 3 ? 0 : static_cast<int>(s.d % 40) - 1)};
    if (call.id <= last_id_) Reject();  // else it could be a rejected one that was not taken yet
    Code expected = naive_.Add(call, now_);
    auto added = real_->Add(call, now_);
    RC_ASSERT((added ? Code::kCancelled : added.error().code()) == expected);
    if (!added) return;
    last_id_ = std::max(last_id_, call.id);
    came_[call.id] = now_;
    RC_ASSERT(live_.insert(call.id).second);
  }

  void Cancel(CallId id) {
    bool cancelled = real_->Cancel(id);
    RC_ASSERT(cancelled == naive_.Cancel(id));
    if (cancelled) End(id);
  }

  void Reject() {
    Ids rejected;
    for (auto& call : real_->TakeRejected(now_)) rejected.push_back(call.id);
    RC_ASSERT(rejected == naive_.TakeRejected(now_));
    for (CallId id : rejected) End(id);
  }

  void Flush(uint32_t free) {
    Reject();
    for (uint32_t left = free;; --left) {
      auto batch = real_->Next(now_, left);
      Ids members = batch ? batch->members : Ids{};
      RC_ASSERT(members == naive_.Next(now_, left));
      if (!batch) break;
      RC_ASSERT(members.size() <= options_.max_batch_size);
      for (CallId id : members) End(id);
    }
    Reject();
    if (free != UINT32_MAX) return;
    for (CallId id : live_) RC_ASSERT(now_ - came_.at(id) < options_.max_queue_delay);
  }

  void End(CallId id) { RC_ASSERT(live_.erase(id) == 1u); }

  void CompareDeadlines(uint32_t free) {
    RC_ASSERT(real_->NextDeadline(now_, free) == naive_.NextDeadline(now_, free));
    Reject();
    RC_ASSERT(real_->waiting() == naive_.waiting());
  }

  const MicroBatchOptions options_;
  std::unique_ptr<MicroBatcher> real_;
  NaiveBatcher naive_;
  SteadyTime now_ = kStart;
  CallId last_id_ = 0;
  std::set<CallId> live_;
  std::map<CallId, SteadyTime> came_;
};

QueuePolicy AnyPolicy() {
  return {.timeout_action = *rc::gen::element(TimeoutAction::kReject, TimeoutAction::kDelay),
          .default_timeout = Micros(*rc::gen::element(0, 1, 7, 30)),
          .allow_timeout_override = *rc::gen::arbitrary<bool>(),
          .max_queue_size = *rc::gen::element<uint64_t>(0, 0, 3, 6)};
}

MicroBatchOptions AnyOptions() {
  MicroBatchOptions options;
  options.max_batch_size = *rc::gen::inRange<uint32_t>(1, 7);
  for (uint32_t size = 1; size <= options.max_batch_size; ++size) {
    if (*rc::gen::inRange(0, 6) == 0) options.preferred_batch_size.push_back(size);
  }
  options.max_queue_delay = Micros(*rc::gen::element(0, 10, 25));
  options.max_batch_tokens = *rc::gen::element<uint64_t>(0, 0, 4, 9);
  options.priority_levels = *rc::gen::inRange<uint32_t>(0, 4);
  if (options.priority_levels > 0) {
    options.default_priority_level = *rc::gen::inRange(1u, options.priority_levels + 1);
    options.priority_queue_policy[1] = AnyPolicy();
  }
  options.aging_per_level = Micros(*rc::gen::element(0, 5, 20));
  options.default_queue_policy = AnyPolicy();
  return options;
}

RC_GTEST_PROP(MicroBatcherProperty, AgreesWithTheNaiveModel, ()) {
  MicroBatchOptions options = AnyOptions();
  auto history = *rc::gen::container<std::vector<Step>>(AnyStep());
  Twins twins(options);
  for (const Step& step : history) twins.Play(step);
  twins.Drain();
}

}  // namespace
}  // namespace inferq::sched
