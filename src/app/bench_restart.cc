#include "app/bench_cases.h"
#include "app/bench_worker.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

constexpr double kNoEnd = 86'400;  // seconds: it ends when all is submitted
constexpr base::Micros kAskEvery = 2ms;

/// Fills the queue, kills the server, starts it again and claims one task.
class Restart {
 public:
  explicit Restart(BenchSession& session) : session_(session), flags_(session.flags()) {}

  Awaitable<Result<>> Run() {
    before_ = UsageOf(session_.server()->pid());
    auto client = [this](uint32_t) { return Client(); };
    co_await session_.Drive("submit", flags_.clients, client, kNoEnd);
    if (session_.stopping()) co_return Result<>{};
    full_ = UsageOf(session_.server()->pid());
    co_await session_.server()->Kill();
    INFERQ_CO_TRY(co_await session_.server()->Start());
    SteadyTime listening = session_.Now();
    INFERQ_CO_TRY(session_.Retarget());
    co_await ClaimOne();
    if (!session_.stopping()) Print(listening, session_.Now());
    co_return Result<>{};
  }

 private:
  Awaitable<void> Client() {
    auto connection = session_.Connect();
    std::string body;
    while (!session_.over() && taken_ < flags_.tasks) {
      auto count = static_cast<uint32_t>(std::min<uint64_t>(flags_.chunk, flags_.tasks - taken_));
      taken_ += count;
      body.clear();
      AppendTasks(body, session_.kind(), 0, count, "");
      auto answer = co_await session_.Call(*connection, "/tasks", body, session_.Now(), submit_);
      if (!answer) continue;
      submitted_ += count;
      session_.Done(count);
    }
  }

  // The server may listen before it has read its store.
  Awaitable<void> ClaimOne() {
    auto connection = session_.Connect();
    BenchWorker worker(session_.kind(), 0, 1, 0);
    while (!session_.stopping() && !claimed_) {
      auto answer = co_await connection->Post("/workers/claim", worker.ClaimBody());
      if (!answer) co_return session_.Fail(std::move(answer).error());
      auto tasks = client::ParseClaimAnswer(answer->body);
      claimed_ = answer->status == 200 && tasks && !tasks->empty();
      if (!claimed_) co_await session_.runtime().SleepFor(kAskEvery);
    }
  }

  void Print(SteadyTime listening, SteadyTime claimed) {
    Report& report = session_.report();
    SteadyTime begin = session_.server()->started();
    auto seconds = [begin](SteadyTime at) {
      return std::chrono::duration<double>(at - begin).count();
    };
    ProcessUsage again = UsageOf(session_.server()->pid());
    report.Number("first_claim_seconds", seconds(claimed), 3);
    report.Number("listening_seconds", seconds(listening), 3);
    report.Count("tasks", flags_.tasks);
    report.Count("submitted", submitted_);
    report.Number("submitted_per_s", static_cast<double>(submitted_) / session_.window_seconds(),
                  0);
    report.Count("clients", flags_.clients);
    report.Count("chunk", flags_.chunk);
    report.Count("server_resident_bytes_empty", before_.resident_bytes);
    report.Count("server_resident_bytes_full", full_.resident_bytes);
    report.Count("server_resident_bytes_restarted", again.resident_bytes);
    report.Number("bytes_per_task_submitted", PerTask(full_), 0);
    report.Number("bytes_per_task_restarted", PerTask(again), 0);
    report.Add("submit_ms", submit_);
  }

  double PerTask(const ProcessUsage& usage) const {
    double more =
        static_cast<double>(usage.resident_bytes) - static_cast<double>(before_.resident_bytes);
    return more / static_cast<double>(std::max<uint64_t>(submitted_, 1));
  }

  BenchSession& session_;
  const BenchFlags& flags_;
  ProcessUsage before_;
  ProcessUsage full_;
  uint64_t taken_ = 0;
  uint64_t submitted_ = 0;
  bool claimed_ = false;
  Latencies submit_;
};

}  // namespace

Awaitable<Result<>> BenchRestart(BenchSession& session) {
  Restart restart(session);
  co_return co_await restart.Run();
}

}  // namespace inferq::app
