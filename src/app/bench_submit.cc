#include "app/bench_cases.h"
#include "app/bench_worker.h"

namespace inferq::app {

using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

class SubmitLoad {
 public:
  explicit SubmitLoad(BenchSession& session)
      : session_(session), flags_(session.flags()), pace_(session.flags().rate) {}

  Awaitable<Result<>> Run() {
    auto client = [this](uint32_t) { return Client(); };
    co_await session_.Drive("load", flags_.clients, client, flags_.seconds);
    Print();
    co_return Result<>{};
  }

 private:
  Awaitable<void> Client() {
    auto connection = session_.Connect();
    std::string body;
    while (!session_.over()) {
      SteadyTime meant = pace_.Next(session_.Now());
      if (meant >= session_.end()) break;
      co_await session_.runtime().SleepUntil(meant);
      body.clear();
      std::string key = flags_.idempotency ? fmt::format("{}-{}", session_.kind(), sent_) : "";
      AppendTask(body, session_.kind(), sent_++, key);
      auto answer = co_await session_.Call(*connection, "/tasks", body, meant, submit_);
      if (answer) Acknowledged();
    }
  }

  void Acknowledged() {
    ++submitted_;
    if (session_.Now() >= session_.end()) return;
    ++in_window_;
    session_.Done(1);
  }

  void Print() {
    Report& report = session_.report();
    report.Number("submissions_per_s", static_cast<double>(in_window_) / session_.window_seconds(),
                  0);
    report.Count("submitted", submitted_);
    report.Count("clients", flags_.clients);
    report.Number("rate", flags_.rate, 0);
    report.Flag("idempotency_keys", flags_.idempotency);
    report.Add("submit_ms", submit_);
  }

  BenchSession& session_;
  const BenchFlags& flags_;
  Pace pace_;
  uint64_t sent_ = 0;
  uint64_t submitted_ = 0;
  uint64_t in_window_ = 0;
  Latencies submit_;
};

}  // namespace

Awaitable<Result<>> BenchSubmit(BenchSession& session) {
  SubmitLoad load(session);
  co_return co_await load.Run();
}

}  // namespace inferq::app
