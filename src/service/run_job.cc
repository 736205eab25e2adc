#include "service/run_job.h"

#include <algorithm>

#include "service/answer_line.h"
#include "service/line_index.h"
#include "service/line_reader.h"
#include "wire/batch_line.h"
#include "wire/json.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;

constexpr std::string_view kLane = "run";
constexpr uint64_t kReadAtOnce = 5'000;  // input lines between two looks at progress and drain
constexpr uint32_t kRequeueAtOnce = 1'000;
constexpr base::Micros kFollowEvery = 100ms;

// Reading the input also writes it to the store: a disk that is full or failing is not the input's
// fault.
RunFailure::Part Blame(RunFailure::Part part, const base::Error& error) {
  bool disk = error.code() == Code::kResourceExhausted || error.code() == Code::kUnavailable;
  return part == RunFailure::Part::kInput && disk ? RunFailure::Part::kStore : part;
}

}  // namespace

RunJob::RunJob(RunEnvironment environment, engine::Engine& engine, RunOptions options)
    : env_(std::move(environment)),
      engine_(engine),
      options_(std::move(options)),
      scope_(env_.runtime),
      changed_(env_.runtime) {}

RunJob::~RunJob() = default;

Awaitable<std::expected<RunSummary, RunFailure>> RunJob::Run() {
  base::Result<> ran = co_await RunInStore();
  bool interrupted = draining() && (!queue_ || !AllEnded());
  progress_ = progress();
  co_await Close();
  if (!ran && !(interrupted && ran.error().code() == Code::kCancelled)) {
    co_return std::unexpected(RunFailure{Blame(part_, ran.error()), ran.error()});
  }
  RunSummary summary{.progress = progress_, .totals = {}, .interrupted = interrupted};
  if (output_) summary.totals = output_->totals();
  co_return summary;
}

Awaitable<base::Result<>> RunJob::RunInStore() {
  INFERQ_CO_TRY(co_await OpenStore());
  INFERQ_CO_TRY(co_await RepairOutputs());
  if (!AllEnded()) {
    INFERQ_CO_TRY(co_await AwaitEngine());
    INFERQ_CO_TRY(co_await Dispatch());
  }
  INFERQ_CO_TRY(co_await output_->CatchUp());
  progress_.phase = RunProgress::Phase::kDone;
  co_return co_await output_->Finish();
}

// Finds the run in its store, or begins it.
Awaitable<base::Result<>> RunJob::OpenStore() {
  auto open = [fs = &env_.files, directory = StorePathOf(options_.output),
               forget = options_.restart] { return RunStore::Open(*fs, directory, forget); };
  INFERQ_CO_ASSIGN(store_, co_await env_.runtime.RunBlocking(runtime::kAnyLane, open));
  auto hash = [fs = &env_.files, path = options_.input] { return HashOfFile(*fs, path); };
  part_ = RunFailure::Part::kInput;
  INFERQ_CO_ASSIGN(std::string input_hash,
                   co_await env_.runtime.RunBlocking(runtime::kAnyLane, hash));
  Identity identity = options_.identity;
  identity.emplace_back("input", std::move(input_hash));
  if (!store_->manifest()) co_return co_await Begin(std::move(identity));
  std::string difference = DescribeDifference(*store_->manifest(), identity);
  if (!difference.empty()) {
    co_return base::Fail(
        Code::kFailedPrecondition,
        "an earlier run with the same output is not finished or not the same: {}. Use the "
        "same input and options to go on, another -o, or --restart to drop its results",
        difference);
  }
  INFERQ_CO_TRY(co_await OpenQueue());
  if (options_.retry_failed) INFERQ_CO_TRY(co_await RequeueFailed());
  co_return base::Result<>{};
}

Awaitable<base::Result<>> RunJob::Begin(Identity identity) {
  if (!options_.restart) {
    for (const std::string& path : {options_.output, ErrorsPathOf(options_.output)}) {
      INFERQ_CO_ASSIGN(bool exists, env_.files.Exists(path));
      if (!exists) continue;
      co_return base::Fail(
          Code::kAlreadyExists,
          "{} exists and no run that can go on has written it: move it away, choose another "
          "-o, or use --restart to replace it",
          path);
    }
  }
  INFERQ_CO_TRY(co_await OpenQueue());
  scope_.Spawn(StartEngine());  // loads while we read
  INFERQ_CO_ASSIGN(RunManifest manifest, co_await ReadInput());
  manifest.identity = std::move(identity);
  manifest.batch = queue_->NewBatchId();
  auto save = [store = store_.get(), manifest = std::move(manifest)] {
    return store->SaveManifest(manifest);
  };
  part_ = RunFailure::Part::kStore;
  co_return co_await env_.runtime.RunBlocking(runtime::kAnyLane, std::move(save));
}

Awaitable<base::Result<>> RunJob::OpenQueue() {
  part_ = RunFailure::Part::kStore;
  queue_ = env_.make_queue(store_->journal_path(), ReadLinesFrom(store_->shared_blobs()));
  INFERQ_CO_TRY(co_await queue_->Open());
  INFERQ_CO_ASSIGN(results_, co_await ResultLog::Open(env_.runtime, store_->blobs(), {}));
  co_return base::Result<>{};
}

// Turns the input into lines of the store. Every bad line is reported before the run is refused for
// them.
Awaitable<base::Result<RunManifest>> RunJob::ReadInput() {
  part_ = RunFailure::Part::kInput;
  progress_.phase = RunProgress::Phase::kReading;
  auto open = [this] {
    return LineReader::Open(env_.files, options_.input, options_.source, store_->blobs());
  };
  INFERQ_CO_ASSIGN(auto reader, co_await env_.runtime.RunBlocking(runtime::kAnyLane, open));
  while (!reader->at_end()) {
    if (draining()) co_return base::Fail(Code::kCancelled, "interrupted while reading the input");
    auto read = [reader = reader.get()] { return reader->ReadSome(kReadAtOnce); };
    INFERQ_CO_ASSIGN(auto bad, co_await env_.runtime.RunBlocking(runtime::kAnyLane, read));
    if (on_bad_line_) std::ranges::for_each(bad, on_bad_line_);
    progress_.read = reader->lines();
  }
  if (reader->bad_lines() > 0 && !options_.continue_on_bad_lines) {
    co_return base::Fail(
        Code::kInvalidArgument,
        "{} of {} input lines are wrong, nothing was run: mend them, or use --on-error continue "
        "to run the others",
        reader->bad_lines(), reader->lines());
  }
  if (reader->lines() == 0)
    co_return base::Fail(Code::kInvalidArgument, "the input holds no lines");
  auto seal = [reader = reader.get()] { return reader->Seal(); };
  co_return co_await env_.runtime.RunBlocking(runtime::kAnyLane, seal);
}

Awaitable<base::Result<>> RunJob::RequeueFailed() {
  queue::QueryRequest request{
      .filter = {.tenant = {}, .batch = store_->manifest()->batch, .state = model::State::kFailed},
      .after = 0,
      .limit = kRequeueAtOnce};
  while (true) {
    INFERQ_CO_ASSIGN(auto failed, co_await queue_->Query(request));
    std::vector<model::TaskId> ids;
    for (const model::TaskRecord& task : failed) ids.push_back(task.id);
    if (ids.empty()) co_return base::Result<>{};
    request.after = ids.back().value;
    auto requeued = co_await queue_->Requeue(std::move(ids));
    for (base::Result<>& one : requeued) INFERQ_CO_TRY(std::move(one));
  }
}

// Brings the output files to what the store says, and drops results that no task points to.
Awaitable<base::Result<>> RunJob::RepairOutputs() {
  part_ = RunFailure::Part::kStore;
  const RunManifest& manifest = *store_->manifest();
  progress_.total = manifest.lines;
  output_ = std::make_unique<RunOutput>(env_.runtime, env_.files, store_->blobs(), *queue_,
                                        RunOutput::Options{.path = options_.output,
                                                           .format = options_.format,
                                                           .columns = manifest.columns,
                                                           .batch = manifest.batch});
  auto open = [this] { return output_->Open(); };
  INFERQ_CO_TRY(co_await env_.runtime.RunBlocking(runtime::kAnyLane, open));
  INFERQ_CO_TRY(co_await output_->CatchUp());
  progress_.resumed = output_->totals().succeeded + output_->totals().failed;
  auto cut = [this, log = results_->current()] {
    return store_->blobs().TruncateLog(log, output_->results_end(log));
  };
  co_return co_await env_.runtime.RunBlocking(runtime::kResultLane, cut);
}

Awaitable<void> RunJob::StartEngine() {
  engine_starting_ = true;
  engine_started_ = co_await engine_.Start();
  changed_.NotifyAll();
}

Awaitable<base::Result<>> RunJob::AwaitEngine() {
  part_ = RunFailure::Part::kEngine;
  progress_.phase = RunProgress::Phase::kPreparing;
  if (!engine_starting_) scope_.Spawn(StartEngine());
  while (!engine_started_ && !draining()) co_await changed_.Wait();
  if (!engine_started_)
    co_return base::Fail(Code::kCancelled, "interrupted while the engine starts");
  co_return *engine_started_;
}

Awaitable<base::Result<>> RunJob::Dispatch() {
  part_ = RunFailure::Part::kStore;
  progress_.phase = RunProgress::Phase::kRunning;
  began_ = env_.runtime.clock().Steady();
  DispatcherOptions dispatch = options_.dispatch;
  dispatch.lane = kLane;
  TaskHandler& handler = *this;
  dispatcher_ = std::make_unique<Dispatcher>(env_.runtime, *queue_, engine_, handler, dispatch);
  if (draining()) dispatcher_->Drain(*drain_until_);
  runtime::Scope helpers(env_.runtime);
  helpers.Spawn(Feed());
  helpers.Spawn(Follow());
  base::Result<> dispatched = co_await dispatcher_->Run();
  progress_.elapsed = env_.runtime.clock().Steady() - *began_;
  dispatched_ = true;
  changed_.NotifyAll();
  co_await helpers.Join();
  if (dispatcher_->engine_failed()) part_ = RunFailure::Part::kEngine;
  INFERQ_CO_TRY(dispatched);
  INFERQ_CO_TRY(feeding_);
  co_return following_;
}

Awaitable<void> RunJob::Feed() {
  feeding_ = co_await SubmitLines();
  if (!feeding_) dispatcher_->Drain(env_.runtime.clock().Steady());
}

// Hands the lines to the queue, behind those that are tasks of their own already.
Awaitable<base::Result<>> RunJob::SubmitLines() {
  const RunManifest& manifest = *store_->manifest();
  queue::BatchPlan plan;
  plan.batch = manifest.batch;
  plan.lanes = {std::string(kLane)};
  plan.first_line = queue_->Stats({.tenant = {}, .batch = manifest.batch, .state = {}}).total();
  plan.lines = manifest.lines;
  plan.input_blob = manifest.lines_blob;
  plan.index_blob = manifest.index_blob;
  plan.mean_cost = std::max<uint64_t>(1, manifest.cost / manifest.lines);
  plan.max_attempts = options_.max_attempts;
  if (plan.first_line == plan.lines) co_return base::Result<>{};
  if (plan.index_blob == 0) {  // begun by an earlier inferq
    auto index = [blobs = &store_->blobs(), lines = plan.input_blob] {
      return IndexLines(*blobs, lines);
    };
    INFERQ_CO_ASSIGN(plan.index_blob, co_await env_.runtime.RunBlocking(runtime::kAnyLane, index));
  }
  INFERQ_CO_TRY(co_await queue_->SubmitBatch(std::move(plan)));
  co_return base::Result<>{};
}

// Writes endings to the output files as they come, and ends the dispatch after the last one.
Awaitable<void> RunJob::Follow() {
  while (!dispatched_ && following_) {
    co_await changed_.WaitUntil(env_.runtime.clock().Steady() + kFollowEvery);
    following_ = co_await output_->CatchUp();
    if (!following_ || AllEnded()) dispatcher_->Drain(env_.runtime.clock().Steady());
  }
}

bool RunJob::AllEnded() const {
  if (!output_) return false;
  const OutputTotals& totals = output_->totals();
  return totals.succeeded + totals.failed == store_->manifest()->lines;
}

void RunJob::Drain(base::Micros grace) {
  drain_until_ = env_.runtime.clock().Steady() + grace;
  if (dispatcher_) dispatcher_->Drain(*drain_until_);
  changed_.NotifyAll();
}

Awaitable<void> RunJob::Close() {
  co_await engine_.Stop();
  co_await scope_.Join();
  if (queue_) co_await queue_->Close();
}

RunProgress RunJob::progress() const {
  RunProgress now = progress_;
  if (output_) {
    now.succeeded = output_->totals().succeeded;
    now.failed = output_->totals().failed;
  }
  if (!dispatcher_) return now;
  now.running = dispatcher_->running();
  now.retries = dispatcher_->counters().retries;
  now.new_prompt_tokens = dispatcher_->counters().prompt_tokens;
  now.new_completion_tokens = dispatcher_->counters().completion_tokens;
  if (began_ && !dispatched_) now.elapsed = env_.runtime.clock().Steady() - *began_;
  return now;
}

Awaitable<base::Result<RunLine>> RunJob::ReadLine(model::Extent payload) {
  auto read = [blobs = &store_->blobs(), payload] { return ReadRunLine(*blobs, payload); };
  co_return co_await env_.runtime.RunBlocking(runtime::kAnyLane, read);
}

Awaitable<base::Result<Work>> RunJob::Load(queue::ClaimedTask task) {
  INFERQ_CO_ASSIGN(RunLine line, co_await ReadLine(task.spec.payload));
  if (line.bad()) co_return base::Fail(Code::kInvalidArgument, "{}", line.bad_message);
  auto parsed = wire::ParseBatchLine(line.request, {});
  if (!parsed) co_return base::Fail(Code::kInvalidArgument, "{}", parsed.error().message);
  Work work;
  work.custom_id = line.custom_id;
  work.request.id = AttemptId(task);
  work.request.endpoint = parsed->endpoint;
  work.request.body = parsed->body.text();
  if (auto model = parsed->body.Find("model")) work.request.model = model->AsString().value_or("");
  work.request.traceparent = task.spec.traceparent;
  co_return work;
}

Awaitable<base::Result<model::Extent>> RunJob::StoreAnswer(queue::ClaimedTask task, Work work,
                                                           engine::Delta answer) {
  std::string line = AnswerLine(task, work, std::move(answer), env_.runtime.clock().Wall());
  co_return co_await results_->Append(std::move(line));
}

Awaitable<base::Result<model::Extent>> RunJob::StoreError(queue::ClaimedTask task,
                                                          base::Error error) {
  INFERQ_CO_ASSIGN(RunLine input, co_await ReadLine(task.spec.payload));
  std::string line = ErrorLine(task, input.custom_id, error);
  if (input.bad()) {
    line = wire::BatchErrorLine(BatchRequestId(task.id), input.custom_id, input.bad_code,
                                input.bad_message) +
           "\n";
  }
  co_return co_await results_->Append(std::move(line));
}

}  // namespace inferq::service
