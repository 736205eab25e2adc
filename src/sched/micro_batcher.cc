#include "sched/micro_batcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace inferq::sched {

using base::Code;
using base::Micros;
using base::Result;
using base::SteadyTime;

namespace {

template <class... Args>
std::unexpected<base::Error> Wrong(std::string_view field, fmt::format_string<Args...> format,
                                   Args&&... args) {
  std::string what = fmt::format(format, std::forward<Args>(args)...);
  return std::unexpected(base::Error(Code::kInvalidArgument, fmt::format("{}: {}", field, what))
                             .WithParam(std::string(field)));
}

Result<> CheckTime(std::string_view field, Micros value) {
  if (value >= Micros(0) && value <= kMaxBatcherTime) return {};
  return Wrong(field, "{} µs is not between 0 and {} µs", value.count(), kMaxBatcherTime.count());
}

Result<> CheckSizes(const MicroBatchOptions& options) {
  if (options.max_batch_size < 1 || options.max_batch_size > kMaxBatchSizeBound) {
    return Wrong("max_batch_size", "{} is not between 1 and {}", options.max_batch_size,
                 kMaxBatchSizeBound);
  }
  for (uint32_t size : options.preferred_batch_size) {
    if (size >= 1 && size <= options.max_batch_size) continue;
    return Wrong("preferred_batch_size", "{} is not between 1 and max_batch_size, {}", size,
                 options.max_batch_size);
  }
  return {};
}

Result<> CheckLevels(const MicroBatchOptions& options) {
  uint32_t levels = options.priority_levels;
  if (levels > kMaxPriorityLevels) {
    return Wrong("priority_levels", "{} is above {}", levels, kMaxPriorityLevels);
  }
  bool known =
      levels == 0 ? options.default_priority_level == 0
                  : options.default_priority_level >= 1 && options.default_priority_level <= levels;
  if (!known) {
    return Wrong("default_priority_level", "{} is none of the {} priority_levels",
                 options.default_priority_level, levels);
  }
  for (const auto& [level, policy] : options.priority_queue_policy) {
    if (level >= 1 && level <= levels) continue;
    return Wrong("priority_queue_policy", "{} is none of the {} priority_levels", level, levels);
  }
  return {};
}

Result<> CheckPolicy(std::string_view field, const QueuePolicy& policy,
                     const MicroBatchOptions& options) {
  INFERQ_TRY(CheckTime(fmt::format("{}.default_timeout", field), policy.default_timeout));
  if (options.preserve_ordering && policy.timeout_action == TimeoutAction::kDelay) {
    return Wrong("preserve_ordering", "does not go with {}.timeout_action DELAY", field);
  }
  return {};
}

// Held at the end of its range.
model::TokenCount Sum(model::TokenCount a, model::TokenCount b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int64_t Count(SteadyTime time) { return time.time_since_epoch().count(); }

}  // namespace

Result<> Validate(const MicroBatchOptions& options) {
  INFERQ_TRY(CheckSizes(options));
  INFERQ_TRY(CheckTime("max_queue_delay", options.max_queue_delay));
  INFERQ_TRY(CheckTime("aging_per_level", options.aging_per_level));
  INFERQ_TRY(CheckLevels(options));
  if (options.preserve_ordering && options.priority_levels > 1) {
    return Wrong("preserve_ordering", "does not go with {} priority_levels",
                 options.priority_levels);
  }
  INFERQ_TRY(CheckPolicy("default_queue_policy", options.default_queue_policy, options));
  for (const auto& [level, policy] : options.priority_queue_policy) {
    INFERQ_TRY(CheckPolicy(fmt::format("priority_queue_policy.{}", level), policy, options));
  }
  return {};
}

Result<std::unique_ptr<MicroBatcher>> MicroBatcher::Make(MicroBatchOptions options) {
  INFERQ_TRY(Validate(options));
  return std::unique_ptr<MicroBatcher>(new MicroBatcher(std::move(options)));
}

MicroBatcher::MicroBatcher(MicroBatchOptions options)
    : options_(std::move(options)), preferred_(options_.preferred_batch_size) {
  std::ranges::sort(preferred_);
}

const QueuePolicy& MicroBatcher::PolicyOf(uint32_t level) const {
  auto found = options_.priority_queue_policy.find(level);
  return found == options_.priority_queue_policy.end() ? options_.default_queue_policy
                                                       : found->second;
}

// 0: none.
Micros MicroBatcher::TimeoutOf(const Call& call) const {
  const QueuePolicy& policy = PolicyOf(call.level);
  bool own = policy.allow_timeout_override && call.timeout > Micros(0);
  Micros timeout = own ? call.timeout : policy.default_timeout;
  return timeout > kMaxBatcherTime ? Micros(0) : timeout;
}

int64_t MicroBatcher::RankOf(const Waiting& waiting) const {
  int64_t aging = options_.aging_per_level.count();
  int64_t level = waiting.call.level;
  return aging == 0 ? 2 * level : Count(waiting.came) + level * aging;
}

int64_t MicroBatcher::DelayedRankOf(const Waiting& waiting) const {
  int64_t aging = options_.aging_per_level.count();
  int64_t level = waiting.call.level;
  return aging == 0 ? 2 * level + 1 : Count(*waiting.times_out) + (level + 1) * aging;
}

Result<> MicroBatcher::Add(Call call, SteadyTime now) {
  if (call.timeout < Micros(0)) return Wrong("timeout", "{} µs is negative", call.timeout.count());
  Expire(now);
  bool known = call.level >= 1 && call.level <= options_.priority_levels;
  if (!known) call.level = options_.default_priority_level;
  if (calls_.contains(call.id)) return Fail(Code::kAlreadyExists, "call {} waits", call.id);
  uint64_t& size = size_of_level_[call.level];
  uint64_t max = PolicyOf(call.level).max_queue_size;
  if (max != 0 && size >= max) {
    return Fail(Code::kResourceExhausted, "{} calls wait, which is max_queue_size", size);
  }
  ++size;
  Waiting& waiting = calls_[call.id];
  waiting = {.call = std::move(call), .sequence = ++last_sequence_, .came = now};
  SetTimes(waiting);
  waiting.rank = RankOf(waiting);
  Enter(waiting);
  return {};
}

void MicroBatcher::SetTimes(Waiting& waiting) {
  Micros timeout = TimeoutOf(waiting.call);
  Micros hold = options_.max_queue_delay;
  if (timeout > Micros(0)) {
    hold = std::min(hold, timeout / 2);
    waiting.times_out = waiting.came + timeout;
    by_timeout_.insert({Count(*waiting.times_out), waiting.sequence, &waiting});
  }
  waiting.held_until = waiting.came + hold;
  by_hold_.insert({Count(waiting.held_until), waiting.sequence, &waiting});
}

bool MicroBatcher::Cancel(CallId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return false;
  Forget(found->second);
  return true;
}

void MicroBatcher::Forget(Waiting& waiting) {
  Leave(waiting);
  by_hold_.erase({Count(waiting.held_until), waiting.sequence, nullptr});
  if (waiting.times_out) {
    by_timeout_.erase({Count(*waiting.times_out), waiting.sequence, nullptr});
  }
  --size_of_level_[waiting.call.level];
  calls_.erase(CallId(waiting.call.id));
}

void MicroBatcher::Expire(SteadyTime now) {
  while (!by_timeout_.empty() && by_timeout_.begin()->rank <= Count(now)) {
    Waiting& waiting = *by_timeout_.begin()->waiting;
    if (PolicyOf(waiting.call.level).timeout_action == TimeoutAction::kReject) {
      Reject(waiting, now);
    } else {
      Delay(waiting);
    }
  }
}

void MicroBatcher::Reject(Waiting& waiting, SteadyTime now) {
  rejected_.push_back(
      {waiting.call.id,
       base::Error(Code::kUnavailable, fmt::format("the timeout ran out after {} µs in the queue",
                                                   (now - waiting.came).count()))});
  Forget(waiting);
}

void MicroBatcher::Delay(Waiting& waiting) {
  Leave(waiting);
  by_timeout_.erase(by_timeout_.begin());
  waiting.rank = DelayedRankOf(waiting);
  Enter(waiting);
}

// The head is kept as long as what comes and goes lies behind it, and grows with what comes last.
void MicroBatcher::Enter(Waiting& waiting) {
  Place place{waiting.rank, waiting.sequence, &waiting};
  if (BehindHead(place)) {
    order_.insert(place);
    return;
  }
  auto at = order_.insert(place).first;
  bool grows = head_ && head_->end == order_.end() && std::next(at) == order_.end();
  if (!grows) {
    head_.reset();
    return;
  }
  head_->end = at;
  Extend();
}

void MicroBatcher::Leave(Waiting& waiting) {
  Place place{waiting.rank, waiting.sequence, &waiting};
  if (!BehindHead(place)) head_.reset();
  order_.erase(place);
}

// Behind the call that ended the head, that is.
bool MicroBatcher::BehindHead(const Place& place) const {
  return head_ && head_->end != order_.end() && *head_->end < place;
}

const MicroBatcher::Head& MicroBatcher::FindHead() {
  if (!head_) {
    head_ = Head{.end = order_.begin()};
    Extend();
  }
  return *head_;
}

void MicroBatcher::Extend() {
  while (head_->end != order_.end() && Joins(*head_->end->waiting)) {
    ++head_->size;
    head_->tokens = Sum(head_->tokens, head_->end->waiting->call.tokens);
    ++head_->end;
  }
}

bool MicroBatcher::Joins(const Waiting& waiting) const {
  if (head_->size == 0) return true;
  if (head_->size >= options_.max_batch_size) return false;
  if (waiting.call.shape != order_.begin()->waiting->call.shape) return false;
  model::TokenCount max = options_.max_batch_tokens;
  if (max == 0) return true;
  return head_->tokens <= max && waiting.call.tokens <= max - head_->tokens;
}

bool MicroBatcher::CannotGrow() const {
  bool full_of_tokens =
      options_.max_batch_tokens != 0 && head_->tokens >= options_.max_batch_tokens;
  return head_->size >= options_.max_batch_size || full_of_tokens || head_->end != order_.end();
}

uint32_t MicroBatcher::DueSize(SteadyTime now) {
  const Head& head = FindHead();
  if (head.size == 0) return 0;
  auto larger = std::ranges::upper_bound(preferred_, head.size);
  if (larger != preferred_.begin()) return *std::prev(larger);
  bool due = CannotGrow() || by_hold_.begin()->rank <= Count(now);
  return due ? head.size : 0;
}

std::optional<MicroBatch> MicroBatcher::Next(SteadyTime now, uint32_t free_instances) {
  Expire(now);
  if (free_instances == 0) return std::nullopt;
  uint32_t size = DueSize(now);
  if (size == 0) return std::nullopt;
  return Take(size);
}

MicroBatch MicroBatcher::Take(uint32_t size) {
  MicroBatch batch{.number = ++last_batch_, .shape = order_.begin()->waiting->call.shape};
  running_[batch.number] = false;
  while (batch.members.size() < size) {
    Waiting& waiting = *order_.begin()->waiting;
    batch.members.push_back(waiting.call.id);
    batch.tokens = Sum(batch.tokens, waiting.call.tokens);
    Forget(waiting);
  }
  return batch;
}

std::vector<uint64_t> MicroBatcher::Finish(uint64_t number) {
  auto found = running_.find(number);
  if (found == running_.end()) return {};
  if (!options_.preserve_ordering) {
    running_.erase(found);
    return {number};
  }
  found->second = true;
  std::vector<uint64_t> leaving;
  while (!running_.empty() && running_.begin()->second) {
    leaving.push_back(running_.begin()->first);
    running_.erase(running_.begin());
  }
  return leaving;
}

std::vector<Rejected> MicroBatcher::TakeRejected(SteadyTime now) {
  Expire(now);
  return std::exchange(rejected_, {});
}

std::optional<SteadyTime> MicroBatcher::NextDeadline(SteadyTime now, uint32_t free_instances) {
  Expire(now);
  if (!rejected_.empty()) return now;
  if (free_instances == 0) {
    return by_timeout_.empty() ? std::nullopt : by_timeout_.begin()->waiting->times_out;
  }
  if (order_.empty()) return std::nullopt;
  if (DueSize(now) > 0) return now;
  return by_hold_.begin()->waiting->held_until;  // no call's timeout is before the end of its hold
}

}  // namespace inferq::sched
