#include "app/bench_cases.h"
#include "app/bench_worker.h"

namespace inferq::app {

using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

constexpr double kWaitSeconds = 1;  // of a long poll, so that the end is not waited for longer
constexpr double kCalibrateSeconds = 1;

/// Half of the clients submit, half wait for work, one task at a time. The payload of a task is its
/// number.
class PickupLoad {
 public:
  PickupLoad(BenchSession& session, double rate)
      : session_(session),
        clients_(std::max(session.flags().clients / 2, 1u)),
        rate_(rate),
        pace_(rate) {}

  Awaitable<void> Run(std::string what, double seconds) {
    auto client = [this](uint32_t number) {
      return number < clients_ ? Worker(number) : Producer();
    };
    producers_ = clients_;
    co_await session_.Drive(std::move(what), 2 * clients_, client, seconds);
  }

  double per_second() const { return static_cast<double>(in_window_) / session_.window_seconds(); }

  void Print() {
    Report& report = session_.report();
    report.Number("picked_up_per_s", per_second(), 0);
    report.Number("rate", rate_, 0);
    report.Count("submitted", submitted_);
    report.Count("completed", completed_);
    report.Count("producers", clients_);
    report.Count("workers", clients_);
    report.Add("submit_ms", submit_);
    report.Add("acknowledged_to_claimed_ms", from_ack_);
    report.Add("meant_to_claimed_ms", from_meant_);
  }

 private:
  struct Task {
    SteadyTime meant;
    SteadyTime acknowledged = SteadyTime::max();  // not yet
  };

  Awaitable<void> Producer() {
    auto connection = session_.Connect();
    std::string body;
    while (!session_.over()) {
      SteadyTime meant = pace_.Next(session_.Now());
      if (meant >= session_.end()) break;
      co_await session_.runtime().SleepUntil(meant);
      uint64_t number = tasks_.size();
      tasks_.push_back({.meant = meant});
      body.clear();
      AppendTask(body, session_.kind(), number, "");
      auto answer = co_await session_.Call(*connection, "/tasks", body, meant, submit_);
      if (!answer) continue;
      tasks_[number].acknowledged = session_.Now();
      ++submitted_;
    }
    --producers_;
  }

  // Until nobody submits and nothing is left.
  Awaitable<void> Worker(uint32_t number) {
    auto connection = session_.Connect();
    BenchWorker worker(session_.kind(), number, 1, kWaitSeconds);
    while (!session_.failed()) {
      bool producing = producers_ > 0;
      co_await Work(*connection, worker);
      if (worker.held().empty() && !producing) break;
    }
  }

  Awaitable<void> Work(BenchConnection& connection, BenchWorker& worker) {
    bool ends = !worker.held().empty();
    SteadyTime sent = session_.Now();
    auto answer = ends ? co_await session_.Call(connection, "/workers/complete",
                                                worker.CompleteBody(true), sent, complete_)
                       : co_await session_.Call(connection, "/workers/claim", worker.ClaimBody(),
                                                sent, claim_);
    if (!answer) co_return;
    SteadyTime now = session_.Now();
    auto next = ends ? Completed(answer->body) : client::ParseClaimAnswer(answer->body);
    if (!next) co_return session_.Fail(std::move(next).error());
    worker.Take(*next);
    for (uint64_t number : worker.held()) Claimed(tasks_.at(number), now);
  }

  Result<std::vector<client::ClaimedTask>> Completed(std::string_view body) {
    INFERQ_ASSIGN(client::CompleteAnswer ends, client::ParseCompleteAnswer(body));
    completed_ += ends.done;
    if (ends.refused > 0) session_.Refused(ends.first_refusal);
    return std::move(ends.claimed);
  }

  void Claimed(Task& task, SteadyTime now) {
    from_meant_.Add(now - task.meant);
    from_ack_.Add(now - task.acknowledged);
    if (now >= session_.end()) return;
    ++in_window_;
    session_.Done(1);
  }

  BenchSession& session_;
  const uint32_t clients_;
  const double rate_;
  Pace pace_;
  uint32_t producers_ = 0;
  std::vector<Task> tasks_;
  uint64_t submitted_ = 0;
  uint64_t completed_ = 0;
  uint64_t in_window_ = 0;
  Latencies submit_, claim_, complete_, from_ack_, from_meant_;
};

}  // namespace

Awaitable<Result<>> BenchPickup(BenchSession& session) {
  double rate = session.flags().rate;
  if (rate <= 0) {
    PickupLoad full(session, 0);
    co_await full.Run("full_load", std::min(kCalibrateSeconds, session.flags().seconds));
    session.report().Number("full_load_per_s", full.per_second(), 0);
    rate = full.per_second() / 2;
  }
  if (session.stopping() || rate <= 0) co_return Result<>{};
  PickupLoad half(session, rate);
  co_await half.Run("load", session.flags().seconds);
  half.Print();
  co_return Result<>{};
}

}  // namespace inferq::app
