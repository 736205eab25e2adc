#include "app/bench_cases.h"
#include "app/bench_worker.h"

namespace inferq::app {

using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

constexpr int kMostRefusalsAtTheEnd = 10;

/// Each client is a producer and a worker in turn, so what is submitted is claimed soon, by
/// whichever client asks next. A task's payload is the number of its chunk.
class QueueLoad {
 public:
  explicit QueueLoad(BenchSession& session)
      : session_(session),
        flags_(session.flags()),
        pace_(session.flags().rate / session.flags().chunk) {}

  Awaitable<Result<>> Run() {
    auto client = [this](uint32_t number) { return Client(number); };
    co_await session_.Drive("load", flags_.clients, client, flags_.seconds);
    Print();
    co_return Result<>{};
  }

 private:
  Awaitable<void> Client(uint32_t number) {
    auto connection = session_.Connect();
    BenchWorker worker(session_.kind(), number, flags_.chunk, 0);
    while (!session_.over()) {
      SteadyTime meant = pace_.Next(session_.Now());
      if (meant >= session_.end()) break;
      co_await session_.runtime().SleepUntil(meant);
      co_await Submit(*connection, meant);
      co_await Work(*connection, worker);
    }
    co_await Drain(*connection, worker);
  }

  Awaitable<void> Submit(BenchConnection& connection, SteadyTime meant) {
    uint64_t chunk = acknowledged_.size();
    acknowledged_.push_back(SteadyTime::max());
    std::string body;
    std::string key = flags_.idempotency ? fmt::format("{}-{}", session_.kind(), chunk) : "";
    AppendTasks(body, session_.kind(), chunk, flags_.chunk, key);
    auto answer = co_await session_.Call(connection, "/tasks", body, meant, submit_);
    if (!answer) co_return;
    acknowledged_[chunk] = session_.Now();
    submitted_ += flags_.chunk;
  }

  // Ends what is held and claims more. @return false: there was nothing to do, or it was refused.
  Awaitable<bool> Work(BenchConnection& connection, BenchWorker& worker) {
    if (worker.held().empty()) co_return co_await Claim(connection, worker);
    const std::string& body = worker.CompleteBody(true);
    SteadyTime sent = session_.Now();
    auto answer = co_await session_.Call(connection, "/workers/complete", body, sent, complete_);
    if (!answer) co_return false;
    auto ends = client::ParseCompleteAnswer(answer->body);
    if (!ends) co_return session_.Fail(std::move(ends).error()), false;
    Ended(worker, *ends);
    Claimed(worker, ends->claimed);
    co_return true;
  }

  Awaitable<bool> Claim(BenchConnection& connection, BenchWorker& worker) {
    SteadyTime sent = session_.Now();
    auto answer =
        co_await session_.Call(connection, "/workers/claim", worker.ClaimBody(), sent, claim_);
    if (!answer) co_return false;
    auto tasks = client::ParseClaimAnswer(answer->body);
    if (!tasks) co_return session_.Fail(std::move(tasks).error()), false;
    Claimed(worker, *tasks);
    co_return !tasks->empty();
  }

  Awaitable<void> Drain(BenchConnection& connection, BenchWorker& worker) {
    for (int refusals = 0; refusals < kMostRefusalsAtTheEnd && !session_.failed();) {
      bool worked = co_await Work(connection, worker);
      if (worked) continue;
      if (worker.held().empty()) break;
      ++refusals;
    }
  }

  void Ended(const BenchWorker& worker, const client::CompleteAnswer& ends) {
    SteadyTime now = session_.Now();
    for (uint64_t chunk : worker.held()) whole_.Add(now - acknowledged_.at(chunk));
    completed_ += ends.done;
    if (ends.refused > 0) session_.Refused(ends.first_refusal);
    if (now >= session_.end()) return;
    in_window_ += ends.done;
    session_.Done(ends.done);
  }

  void Claimed(BenchWorker& worker, const std::vector<client::ClaimedTask>& tasks) {
    worker.Take(tasks);
    SteadyTime now = session_.Now();
    for (uint64_t chunk : worker.held()) pickup_.Add(now - acknowledged_.at(chunk));
  }

  void Print() {
    Report& report = session_.report();
    report.Number("tasks_per_s", static_cast<double>(in_window_) / session_.window_seconds(), 0);
    report.Count("submitted", submitted_);
    report.Count("completed", completed_);
    report.Count("clients", flags_.clients);
    report.Count("chunk", flags_.chunk);
    report.Number("rate", flags_.rate, 0);
    report.Flag("idempotency_keys", flags_.idempotency);
    report.Add("submit_ms", submit_);
    report.Add("claim_ms", claim_);
    report.Add("complete_and_claim_ms", complete_);
    report.Add("acknowledged_to_claimed_ms", pickup_);
    report.Add("acknowledged_to_completed_ms", whole_);
  }

  BenchSession& session_;
  const BenchFlags& flags_;
  Pace pace_;                             // of chunks
  std::vector<SteadyTime> acknowledged_;  // by chunk; max(): not yet
  uint64_t submitted_ = 0;
  uint64_t completed_ = 0;
  uint64_t in_window_ = 0;
  Latencies submit_, claim_, complete_, pickup_, whole_;
};

}  // namespace

Awaitable<Result<>> BenchQueue(BenchSession& session) {
  QueueLoad load(session);
  co_return co_await load.Run();
}

}  // namespace inferq::app
