#include "app/run_command.h"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "app/engines.h"
#include "app/exit_code.h"
#include "app/input_options.h"
#include "app/progress.h"
#include "app/progress_display.h"
#include "base/file_lock.h"
#include "base/file_system.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "runtime/asio_runtime.h"
#include "runtime/signals.h"
#include "service/run_job.h"
#include "wire/json.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

struct RunCommand::Options {
  std::string input;
  std::string output;
  std::string output_format = "jsonl";
  std::string on_error = "stop";
  InputOptions rows;
  EngineOptions engine;
  uint32_t max_attempts = 3;
  double grace_seconds = 10;
  double give_up_after_seconds = 600;
  bool retry_failed = false;
  bool restart = false;
  bool quiet = false;
  bool json_progress = false;
};

namespace {

// How far a line may be taken out of order to follow one that begins alike.
constexpr base::Micros kPrefixWindow = std::chrono::seconds(60);

constexpr const char* kFooter = R"(
Examples:
  inferq run requests.jsonl -o results.jsonl --model glm-4-9b.gguf
  inferq run reviews.csv -o labels.csv --format csv --model glm-4-9b.gguf \
      --template 'Is this review positive? Answer yes or no: {{text}}' --max-tokens 4
  inferq run prompts.jsonl -o results.jsonl --backend http://gpu-1:8000/v1 --model glm-4 --concurrency 64
  zcat prompts.txt.gz | inferq run - -o results.jsonl --engine fake

Interrupted or killed, the same command goes on where it stopped; its store is OUTPUT.inferq/.
Exit codes: 0 all lines succeeded; 1 some failed (see OUTPUT's .errors.jsonl); 2 wrong usage or
input; 3 the model or backend cannot be used; 4 the disk is full or unreadable; 130 interrupted.)";

void AddInputOptions(CLI::App& app, auto& o) {
  app.add_option("INPUT", o.input,
                 "File of prompts: OpenAI batch lines, CSV with a header, a JSON array, JSONL of "
                 "objects or "
                 "strings; '-' reads standard input")
      ->required();
  app.add_option("-o,--output", o.output,
                 "Where the results go; failed lines go beside it, to *.errors.jsonl")
      ->required();
  AddFormatOptions(app, o.rows);
  app.add_option("--on-error", o.on_error,
                 "Lines that are not valid requests: 'stop' lists them all and runs nothing, "
                 "'continue' puts them "
                 "into the errors file and runs the others")
      ->check(CLI::IsMember({"stop", "continue"}))
      ->capture_default_str();
}

void AddEngineOptions(CLI::App& app, auto& o) {
  auto* group =
      app.add_option_group("Engine", "Where it runs: a GGUF file, a server, or the fake engine");
  group->add_option(
      "--model", o.engine.model,
      "GGUF file to run here; with --backend the model's name in requests that name none");
  group->add_option(
      "--backend", o.engine.backend,
      "Base URL of an OpenAI-compatible server, for example http://127.0.0.1:8000/v1; its key is "
      "read from INFERQ_API_KEY or --api-key-file");
  group->add_option("--api-key-file", o.engine.api_key_file,
                    "File whose first line is the backend's key");
  group
      ->add_option("--engine", o.engine.engine,
                   "'fake' answers with made-up text and realistic timing")
      ->check(CLI::IsMember({"fake"}));
  group
      ->add_option("--concurrency", o.engine.concurrency,
                   "Requests under way at once (default: 16 for a GGUF, else 32). More gives more "
                   "throughput and "
                   "needs more memory")
      ->check(CLI::Range(1, 4096));
  group
      ->add_option(
          "--context", o.engine.context_tokens,
          "GGUF: longest prompt plus answer, in tokens (default: the model's, at most 8192)")
      ->check(CLI::Range(16, 10'000'000));
  auto* adapter = group->add_option("--adapter", o.engine.adapter,
                                    "GGUF: LoRA adapter (GGUF) of that model to run it with");
  group
      ->add_option("--adapter-scale", o.engine.adapter_scale,
                   "GGUF: how much of the adapter (default 1); 0 is the model without it")
      ->needs(adapter)
      ->check(CLI::Range(-100.0, 100.0));
  group->add_option("--threads", o.engine.threads, "GGUF: threads (default: the machine's cores)")
      ->check(CLI::Range(1, 1024));
  group
      ->add_option("--cache", o.engine.cache,
                   "GGUF: 'shared' computes what requests begin with once, 'separate' spares them "
                   "the look at each other; 'auto' measures which is faster")
      ->check(CLI::IsMember({"auto", "shared", "separate"}))
      ->capture_default_str();
  group
      ->add_option("--pooling", o.engine.pooling,
                   "GGUF, embeddings: how the vectors of an input's tokens become one; 'model' is "
                   "what the file says, else 'mean'")
      ->check(CLI::IsMember({"model", "mean", "cls", "last"}))
      ->capture_default_str();
  group->add_flag("!--no-normalize", o.engine.normalize,
                  "GGUF, embeddings: leave the length of the vectors as it comes, not 1");
  group
      ->add_option(
          "--embed-tokens", o.engine.embed_tokens,
          "GGUF, embeddings: longest input, in tokens (default: the context, at most 2048)")
      ->check(CLI::Range(1, 1'000'000));
  group->add_option("--ttft", o.engine.ttft, "fake: time to first token, for example 20ms");
  group->add_option("--itl", o.engine.itl, "fake: time between two tokens, for example 2ms");
  group
      ->add_option("--fail-rate", o.engine.fail_rate,
                   "fake: share of attempts that fail and are tried again")
      ->check(CLI::Range(0.0, 1.0));
}

void AddRunOptions(CLI::App& app, auto& o) {
  app.add_option(
         "--format", o.output_format,
         "'jsonl' writes OpenAI's output lines; 'csv' the input's columns plus output, "
         "finish_reason and token counts; the output of an embedding is its vector, as JSON")
      ->check(CLI::IsMember({"jsonl", "csv"}))
      ->capture_default_str();
  app.add_option("--max-attempts", o.max_attempts, "Tries of a line whose failure may pass")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--grace", o.grace_seconds,
                 "Seconds that running lines get to finish after Ctrl-C")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option(
         "--give-up-after", o.give_up_after_seconds,
         "Seconds that a backend or model may be away before the run stops (it can go on later)")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_flag("--retry-failed", o.retry_failed, "Run the lines that failed before once more");
  app.add_flag("--restart", o.restart, "Drop an earlier run's results and begin anew");
  auto* quiet = app.add_flag("-q,--quiet", o.quiet, "Show only problems");
  app.add_flag("--json-progress", o.json_progress,
               "Progress and summary as JSON lines on standard error")
      ->excludes(quiet);
}

int ExitCodeOf(service::RunFailure::Part part) {
  switch (part) {
    case service::RunFailure::Part::kInput:
      return kUsage;
    case service::RunFailure::Part::kEngine:
      return kEngineUnusable;
    case service::RunFailure::Part::kStore:
      return kStorageFailed;
  }
  return kStorageFailed;
}

void Complain(const std::string& message) {
  std::fprintf(stderr, "inferq run: %s\n", message.c_str());
}

// Standard input, copied beside the store so that it can be read again when the run goes on.
// Nothing there, and a copy from before: the copy stands for it.
Result<std::string> SpoolStandardInput(const std::string& directory) {
  base::FileSystem& fs = base::PosixFileSystem();
  std::string path = directory + "/input";
  std::string temporary = path + ".tmp";
  INFERQ_ASSIGN(auto file, fs.Open(temporary, base::OpenMode::kReadWrite));
  INFERQ_TRY(file->Truncate(0));
  std::string chunk;
  uint64_t size = 0;
  while (true) {
    chunk.resize(size_t{1} << 20);
    ssize_t n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(base::ErrnoError(errno, "read standard input"));
    if (n == 0) break;
    chunk.resize(static_cast<size_t>(n));
    INFERQ_TRY(file->WriteAt(size, chunk));
    size += chunk.size();
  }
  INFERQ_ASSIGN(bool spooled_before, fs.Exists(path));
  if (size == 0 && spooled_before) return path;
  INFERQ_TRY(file->Sync());
  INFERQ_TRY(fs.Rename(temporary, path));
  return path;
}

// The results would be written over the prompts.
bool WouldOverwrite(const std::string& input, const std::string& output) {
  std::error_code not_there;
  return std::filesystem::equivalent(input, output, not_there);
}

// A store without a run in it (bad input, unusable model) is litter.
void RemoveUnlessBegun(const std::string& store) {
  base::FileSystem& fs = base::PosixFileSystem();
  if (fs.Exists(store + "/run.json").value_or(true)) return;
  base::Result<> removed = base::RemoveTree(fs, store);
  if (!removed) Complain("cannot remove the empty store: " + removed.error().message());
}

std::string Text(const auto& optional_number) {
  return optional_number ? fmt::format("{}", *optional_number) : "";
}

// What a resumed run must agree on: everything that decides the answers, nothing that decides their
// pace.
std::vector<std::pair<std::string, std::string>> IdentityOf(const auto& o) {
  return {{"--input-format", o.rows.format},
          {"--separator", o.rows.separator},
          {"--format", o.output_format},
          {"--on-error", o.on_error},
          {"--endpoint", o.rows.endpoint},
          {"--template", o.rows.prompt_template},
          {"--system", o.rows.system},
          {"--max-tokens", Text(o.rows.max_tokens)},
          {"--temperature", Text(o.rows.temperature)},
          {"--top-p", Text(o.rows.top_p)},
          {"--seed", Text(o.rows.seed)},
          {"--body", o.rows.extra_body},
          {"--model", o.engine.model},
          {"--backend", o.engine.backend},
          {"--engine", o.engine.engine},
          {"--adapter", o.engine.adapter},
          {"--adapter-scale",
           o.engine.adapter.empty() ? "" : fmt::format("{}", o.engine.adapter_scale)},
          {"--pooling", o.engine.pooling == "model" ? "" : o.engine.pooling},
          {"--no-normalize", o.engine.normalize ? "" : "yes"}};
}

service::RunOptions JobOptions(const auto& o, std::string input) {
  service::RunOptions job;
  job.input = std::move(input);
  job.output = o.output;
  job.format =
      o.output_format == "csv" ? service::OutputFormat::kCsv : service::OutputFormat::kJsonl;
  job.source = MakeSourceOptions(o.rows, o.input, ModelName(o.engine));
  job.source.keep_columns = o.output_format == "csv";
  job.continue_on_bad_lines = o.on_error == "continue";
  job.retry_failed = o.retry_failed;
  job.restart = o.restart;
  job.identity = IdentityOf(o);
  job.max_attempts = o.max_attempts;
  job.dispatch.concurrency = ConcurrencyOf(o.engine);
  job.dispatch.give_up_after = base::Micros(static_cast<int64_t>(o.give_up_after_seconds * 1e6));
  return job;
}

// The job with its display and its signals, on the calling thread until it ends.
class RunSession {
 public:
  RunSession(runtime::AsioRuntime& runtime, std::unique_ptr<engine::Engine> engine,
             service::RunOptions options, ProgressStyle style, base::Micros grace)
      : runtime_(runtime),
        engine_(std::move(engine)),
        output_(options.output),
        display_(style),
        grace_(grace),
        job_(Environment(), *engine_, std::move(options)) {
    job_.set_on_bad_line([this](const ingest::BadLine& bad) {
      display_.Say(fmt::format("line {}: {}", bad.number, bad.message));
    });
  }

  int Execute() {
    runtime::SignalWatcher signals(runtime_, {SIGINT, SIGTERM}, [this](int) { OnSignal(); });
    runtime_.SpawnDetached(ShowProgress());
    runtime_.SpawnDetached(RunToEnd());
    runtime_.Run();
    return exit_code_;
  }

 private:
  service::RunEnvironment Environment() {
    auto make_queue = [this](const std::string& path, queue::ReadLines read_lines) {
      queue::LocalQueueOptions queue;
      queue.order.prefix_window = kPrefixWindow;
      queue.read_lines = std::move(read_lines);
      return queue::MakeLocalQueue(runtime_, queue::MakeSqliteJournal({.path = path, .vfs = {}}),
                                   std::move(queue));
    };
    return {.runtime = runtime_, .files = base::PosixFileSystem(), .make_queue = make_queue};
  }

  void OnSignal() {
    if (draining_) std::_Exit(kInterrupted);  // the second one: at once; what is done is durable
    draining_ = true;
    display_.Say(
        fmt::format("stopping: running lines get {:g} s to finish; Ctrl-C again stops at once",
                    std::chrono::duration<double>(grace_).count()));
    job_.Drain(grace_);
  }

  Awaitable<void> ShowProgress() {
    while (!done_) {
      display_.Update(RunProgressView(job_.progress()), runtime_.clock().Steady());
      co_await runtime_.SleepFor(100ms);
    }
  }

  Awaitable<void> RunToEnd() {
    auto ended = co_await job_.Run();
    done_ = true;
    if (ended) {
      std::string errors = service::ErrorsPathOf(output_);
      bool all_well = ended->totals.failed == 0 && !ended->interrupted;
      display_.Finish(SummaryText(*ended, output_, errors), SummaryJson(*ended, output_, errors),
                      all_well);
      exit_code_ = ended->interrupted ? kInterrupted : ended->totals.failed > 0 ? kSomeFailed : kOk;
    } else {
      display_.Say("inferq run: " + ended.error().error.message());
      exit_code_ = ExitCodeOf(ended.error().part);
    }
    runtime_.Stop();
  }

  runtime::AsioRuntime& runtime_;
  std::unique_ptr<engine::Engine> engine_;
  const std::string output_;
  ProgressDisplay display_;
  const base::Micros grace_;
  service::RunJob job_;
  bool draining_ = false;
  bool done_ = false;
  int exit_code_ = kStorageFailed;
};

}  // namespace

RunCommand::RunCommand(CLI::App& root) : options_(std::make_unique<Options>()) {
  command_ =
      root.add_subcommand("run", "Run a file of prompts to a file of results, losing nothing");
  command_->footer(kFooter);
  AddInputOptions(*command_, *options_);
  AddRequestOptions(*command_, options_->rows);
  AddEngineOptions(*command_, *options_);
  AddRunOptions(*command_, *options_);
}

RunCommand::~RunCommand() = default;

bool RunCommand::chosen() const { return command_->parsed(); }

int RunCommand::Execute() {
  Options& o = *options_;
  o.engine.seed = o.rows.seed;
  if (WouldOverwrite(o.input, o.output) ||
      WouldOverwrite(o.input, service::ErrorsPathOf(o.output))) {
    return Complain("the results would replace the input: choose another -o"), kUsage;
  }
  runtime::AsioRuntime runtime;
  auto engine = MakeEngine(runtime, o.engine);
  if (!engine) return Complain(engine.error().message()), kUsage;
  std::string store = service::StorePathOf(o.output);
  base::Result<> made = base::PosixFileSystem().CreateDirectory(store);
  if (!made) return Complain("cannot make the store: " + made.error().message()), kStorageFailed;
  auto lock = base::FileLock::Acquire(store + "/lock");
  if (!lock) {
    return Complain(fmt::format("another inferq is at work on {}: {}", o.output,
                                lock.error().message())),
           kStorageFailed;
  }
  std::string input = o.input;
  if (input == "-") {
    auto spooled = SpoolStandardInput(store);
    if (!spooled) return Complain(spooled.error().message()), kStorageFailed;
    input = *spooled;
  }
  ProgressStyle style = o.quiet           ? ProgressStyle::kQuiet
                        : o.json_progress ? ProgressStyle::kJson
                                          : ProgressStyle::kAuto;
  auto grace = base::Micros(static_cast<int64_t>(o.grace_seconds * 1e6));
  RunSession session(runtime, *std::move(engine), JobOptions(o, input), style, grace);
  int code = session.Execute();
  RemoveUnlessBegun(store);
  return code;
}

}  // namespace inferq::app
