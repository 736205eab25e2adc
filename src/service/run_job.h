#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "engine/engine.h"
#include "queue/queue.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/dispatcher.h"
#include "service/ingest/line_source.h"
#include "service/result_log.h"
#include "service/run_output.h"
#include "service/run_store.h"

namespace inferq::service {

/// What to run, and how the results shall look.
struct RunOptions {
  std::string input;   ///< Path; the caller spooled standard input to a file.
  std::string output;  ///< Path of the results.
  OutputFormat format = OutputFormat::kJsonl;
  ingest::SourceOptions source;
  /// Bad lines become failed lines of the run; otherwise they stop it before it begins.
  bool continue_on_bad_lines = false;
  bool retry_failed = false;  ///< Failed lines of an earlier run of the same command run again.
  bool restart = false;       ///< Forget an earlier run and its results.
  /// What decides the answers, by name ("template", "model", ...): a resumed run must agree.
  std::vector<std::pair<std::string, std::string>> identity;
  uint32_t max_attempts = 3;
  DispatcherOptions dispatch;
};

/// How far a run is; all counts are over the whole run, also over what earlier processes did.
struct RunProgress {
  enum class Phase : uint8_t { kPreparing, kReading, kRunning, kDone } phase = Phase::kPreparing;
  uint64_t total = 0;  ///< Lines; 0 while they are being read.
  uint64_t read = 0;   ///< Lines read so far, while reading.
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t resumed = 0;  ///< Of these, ended before this process began.
  uint32_t running = 0;
  uint64_t retries = 0;
  uint64_t new_prompt_tokens = 0;  ///< In this process.
  uint64_t new_completion_tokens = 0;
  base::Micros elapsed{0};  ///< Since lines began to run in this process.

  uint64_t done() const { return succeeded + failed; }
};

/// How a run ended, when nothing stopped it.
struct RunSummary {
  RunProgress progress;
  OutputTotals totals;
  bool interrupted = false;  ///< Drained before the end: the same command goes on.
};

/// Why a run could not go on, and who has to act.
struct RunFailure {
  enum class Part : uint8_t { kInput, kEngine, kStore } part = Part::kStore;
  base::Error error;
};

/// Makes the parts that differ between the real world and simulation.
struct RunEnvironment {
  runtime::Runtime& runtime;
  base::FileSystem& files;
  /// The durable queue whose journal lies at this path.
  std::function<std::unique_ptr<queue::Queue>(const std::string& journal_path,
                                              queue::ReadLines read_lines)>
      make_queue;
};

/// The main job: a file of prompts in, a file of results out, nothing lost and nothing twice.
///
/// A store beside the output (run_store.h) holds the lines, the queue and the log of results; the
/// output files are written from it (run_output.h). Killed at any point, the same job goes on where
/// it was.
///
/// Order: construct -> Run() once -> destroy after Run returned. Drain and progress from the same
/// strand.
class RunJob : private TaskHandler {
 public:
  RunJob(RunEnvironment environment, engine::Engine& engine, RunOptions options);
  ~RunJob() override;

  /// Every bad line of the input as it is found, in order.
  using OnBadLine = std::function<void(const ingest::BadLine&)>;
  void set_on_bad_line(OnBadLine on_bad_line) { on_bad_line_ = std::move(on_bad_line); }

  /// Fails with kInput: bad lines (all were reported), unusable options, or an earlier run with
  /// other input or options stands in the store; nothing was run. kEngine, kStore: it cannot go on;
  /// what is done stays done.
  Awaitable<std::expected<RunSummary, RunFailure>> Run();
  /// Stops claiming; what runs may finish for `grace`. Run then returns an interrupted summary.
  void Drain(base::Micros grace);

  RunProgress progress() const;

 private:
  using Identity = std::vector<std::pair<std::string, std::string>>;

  Awaitable<base::Result<>> RunInStore();
  Awaitable<base::Result<>> OpenStore();
  Awaitable<base::Result<>> OpenQueue();
  Awaitable<base::Result<>> Begin(Identity identity);
  Awaitable<base::Result<RunManifest>> ReadInput();
  Awaitable<base::Result<>> RequeueFailed();
  Awaitable<base::Result<>> RepairOutputs();
  Awaitable<base::Result<>> AwaitEngine();
  Awaitable<base::Result<>> Dispatch();
  Awaitable<base::Result<>> SubmitLines();
  Awaitable<void> StartEngine();
  Awaitable<void> Feed();
  Awaitable<void> Follow();
  Awaitable<void> Close();
  bool AllEnded() const;
  bool draining() const { return drain_until_.has_value(); }

  Awaitable<base::Result<Work>> Load(queue::ClaimedTask task) override;
  Awaitable<base::Result<model::Extent>> StoreAnswer(queue::ClaimedTask task, Work work,
                                                     engine::Delta answer) override;
  Awaitable<base::Result<model::Extent>> StoreError(queue::ClaimedTask task,
                                                    base::Error error) override;
  Awaitable<base::Result<RunLine>> ReadLine(model::Extent payload);

  RunEnvironment env_;
  engine::Engine& engine_;
  const RunOptions options_;
  OnBadLine on_bad_line_;

  RunFailure::Part part_ = RunFailure::Part::kStore;  // whom a failure would blame now
  std::unique_ptr<RunStore> store_;
  std::unique_ptr<queue::Queue> queue_;
  std::unique_ptr<ResultLog> results_;
  std::unique_ptr<RunOutput> output_;
  std::unique_ptr<Dispatcher> dispatcher_;
  runtime::Scope scope_;
  runtime::Event changed_;
  std::optional<base::Result<>> engine_started_;
  bool engine_starting_ = false;
  base::Result<> feeding_{};
  base::Result<> following_{};
  bool dispatched_ = false;
  std::optional<base::SteadyTime> drain_until_;
  std::optional<base::SteadyTime> began_;
  RunProgress progress_;
};

}  // namespace inferq::service
