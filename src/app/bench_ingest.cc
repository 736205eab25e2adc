#include "app/bench_batch_file.h"
#include "app/bench_cases.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

constexpr uint32_t kMaxTokens = 4;
constexpr base::Micros kAskEvery = 2ms;

double SecondsBetween(SteadyTime from, SteadyTime to) {
  return std::chrono::duration<double>(to - from).count();
}

/// One batch, from the first byte of its file to in_progress.
class Ingest {
 public:
  explicit Ingest(BenchSession& session) : session_(session), flags_(session.flags()) {}

  Awaitable<Result<>> Run() {
    auto write = [directory = session_.directory(), lines = flags_.lines, model = flags_.model] {
      return WriteBatchFile(directory, lines, model, kMaxTokens);
    };
    INFERQ_CO_ASSIGN(input_, co_await session_.runtime().RunBlocking(runtime::kAnyLane, write));
    before_ = Usage();
    SteadyTime begin = session_.Now();
    INFERQ_CO_ASSIGN(client::File file, co_await Upload());
    SteadyTime uploaded = session_.Now();
    ProcessUsage when_uploaded = Usage();
    INFERQ_CO_TRY(co_await CreateAndAwait(file.id));
    SteadyTime ready = session_.Now();
    Print(SecondsBetween(begin, uploaded), SecondsBetween(uploaded, ready), when_uploaded);
    co_return co_await Remove(file.id);
  }

 private:
  ProcessUsage Usage() {
    return session_.server() ? UsageOf(session_.server()->pid()) : ProcessUsage{};
  }

  Awaitable<Result<client::File>> Upload() {
    client::NewUpload upload{.file = input_.file, .filename = "bench.jsonl"};
    return session_.client().Upload(std::move(upload));
  }

  Awaitable<Result<>> CreateAndAwait(std::string file) {
    client::NewBatch batch{.input_file_id = std::move(file)};
    INFERQ_CO_ASSIGN(batch_, co_await session_.client().CreateBatch(std::move(batch)));
    while (batch_.status == "validating" && !session_.stopping()) {
      co_await session_.runtime().SleepFor(kAskEvery);
      INFERQ_CO_ASSIGN(batch_, co_await session_.client().GetBatch(batch_.id));
    }
    if (batch_.status == "in_progress" || session_.stopping()) co_return Result<>{};
    co_return base::Fail(Code::kUnavailable, "the batch is {}: {}", batch_.status, batch_.json);
  }

  Awaitable<Result<>> Remove(std::string file) {
    INFERQ_CO_TRY(co_await session_.client().CancelBatch(batch_.id));
    if (session_.server()) co_return Result<>{};
    INFERQ_CO_TRY(co_await session_.client().DeleteFile(std::move(file)));
    co_return Result<>{};
  }

  void Print(double upload, double validation, const ProcessUsage& uploaded) {
    Report& report = session_.report();
    auto lines = static_cast<double>(flags_.lines);
    report.Count("lines", flags_.lines);
    report.Count("accepted_lines", batch_.counts.total);
    report.Count("file_bytes", input_.bytes);
    report.Number("lines_per_s", lines / validation, 0);
    report.Number("upload_seconds", upload, 3);
    report.Number("validation_seconds", validation, 3);
    report.Number("lines_per_s_with_upload", lines / (upload + validation), 0);
    if (!session_.server()) return;
    ProcessUsage now = Usage();
    report.Number("server_upload_cpu_s", Cpu(uploaded) - Cpu(before_), 2);
    report.Number("server_validation_cpu_s", Cpu(now) - Cpu(uploaded), 2);
    report.Count("server_resident_bytes_before", before_.resident_bytes);
    report.Count("server_resident_bytes_validated", now.resident_bytes);
    report.Count("server_peak_bytes_validated", now.peak_bytes);
  }

  static double Cpu(const ProcessUsage& usage) { return usage.user_seconds + usage.system_seconds; }

  BenchSession& session_;
  const BenchFlags& flags_;
  BatchFile input_;
  client::Batch batch_;
  ProcessUsage before_;
};

}  // namespace

Awaitable<Result<>> BenchIngest(BenchSession& session) {
  Ingest ingest(session);
  co_return co_await ingest.Run();
}

}  // namespace inferq::app
