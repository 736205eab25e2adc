#include <array>
#include <cmath>

#include "app/bench_agent_backend.h"
#include "app/bench_agent_client.h"
#include "app/bench_batch_file.h"
#include "app/bench_cases.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

namespace {

constexpr base::Micros kStepTimeout = 600s;
constexpr base::Micros kProbeTimeout = 30s;
constexpr uint32_t kBatchTokens = 300;  // of each line's answer, at most
constexpr uint64_t kReplays = 200;      // of each distinct body, before the next

/// So many agents against one address.
class AgentLoad {
 public:
  /// @param side  "direct" or "through", for the report.
  AgentLoad(BenchSession& session, std::string side, std::string base_url, std::string api_key)
      : session_(session),
        flags_(session.flags()),
        profile_(*FindAgentProfile(flags_.agents.profile)),
        side_(std::move(side)),
        http_(session.runtime(), session.dialer(),
              {.max_per_origin = flags_.clients * profile_.copies + 8}),
        target_{.base_url = std::move(base_url),
                .api_key = std::move(api_key),
                .speed = flags_.agents.speed,
                .cancel = session.cancel()},
        client_(session.runtime(), http_, target_, 1) {}

  Awaitable<void> Run() {
    co_await WarmUp();
    auto client = [this](uint32_t number) { return Agent(number); };
    co_await session_.Drive(side_, flags_.clients, client, flags_.seconds);
    http_.CloseIdle();
  }

  void Print(const AgentBackendCounts& backend) {
    Report& report = session_.report();
    uint64_t ended = completed_ + lost();
    report.Count(side_ + "_tasks_completed", completed_);
    report.Count(side_ + "_tasks_lost", lost());
    report.Count(side_ + "_lost_to_refusals", ends(AgentEnd::kRefused));
    report.Count(side_ + "_lost_to_cut_answers", ends(AgentEnd::kCut));
    report.Count(side_ + "_lost_to_silent_truncation", ends(AgentEnd::kTruncated));
    report.Maybe(side_ + "_completion_percent", Percent(completed_, ended), 3);
    report.Number(side_ + "_steps_per_min",
                  60 * static_cast<double>(steps_in_window_) / session_.window_seconds(), 0);
    report.Count(side_ + "_client_repetitions", client_.repeated());
    report.Count(side_ + "_backend_requests", backend.requests);
    report.Count(side_ + "_backend_5xx", backend.failed);
    report.Count(side_ + "_backend_cuts", backend.cut);
    report.Maybe(side_ + "_prefix_hit_percent",
                 Percent(backend.cached_tokens, backend.prompt_tokens), 1);
    report.Add(side_ + "_step_ms", step_);
    if (profile_.phone) report.Add(side_ + "_probe_ms", probe_);
  }

 private:
  uint64_t ends(AgentEnd end) const { return ends_[static_cast<size_t>(end)]; }
  uint64_t lost() const {
    return ends(AgentEnd::kRefused) + ends(AgentEnd::kCut) + ends(AgentEnd::kTruncated);
  }
  static std::optional<double> Percent(uint64_t part, uint64_t all) {
    if (all == 0) return std::nullopt;
    return 100 * static_cast<double>(part) / static_cast<double>(all);
  }

  // A server that has just begun to listen may have no model yet.
  Awaitable<void> WarmUp() {
    constexpr int kTries = 20;
    AgentClient client(session_.runtime(), http_, target_, 2);
    for (int i = 0; i < kTries && !session_.stopping(); ++i) {
      std::string body = AgentConversation::ProbeBody(flags_.model);
      AgentAnswer answer = co_await client.Complete(std::move(body), false, kProbeTimeout);
      if (answer.end == AgentEnd::kWhole) co_return;
    }
  }

  Awaitable<void> Agent(uint32_t number) {
    base::Rng rng(number);
    if (profile_.phone) co_await Pause(rng);  // they do not begin together
    while (!session_.over()) {
      AgentEnd end = co_await Task(rng);
      if (end == AgentEnd::kStopped) co_return;  // not ended: in no figure
      if (end == AgentEnd::kWhole) ++completed_;
      if (end != AgentEnd::kWhole) ++ends_[static_cast<size_t>(end)];
      if (session_.Now() < session_.end()) session_.Done(1);
    }
  }

  Awaitable<AgentEnd> Task(base::Rng& rng) {
    if (profile_.phone) {
      AgentEnd end = co_await Probe();
      if (end != AgentEnd::kWhole) co_return end;
    }
    AgentConversation talk(profile_, NextNumber(), flags_.model);
    uint32_t steps = profile_.phone ? DrawSteps(flags_.agents.steps, rng) : 1;
    for (uint32_t i = 0; i < steps; ++i) {
      if (i > 0) co_await Pause(rng);
      if (session_.over()) co_return AgentEnd::kStopped;
      AgentAnswer answer = co_await Step(talk.Body());
      if (answer.end != AgentEnd::kWhole) co_return answer.end;
      talk.Answered(answer.text);
    }
    co_return AgentEnd::kWhole;
  }

  uint64_t NextNumber() {
    uint64_t number = numbers_++;
    return profile_.distinct == 0 ? number : number / kReplays % profile_.distinct;
  }

  Awaitable<void> Pause(base::Rng& rng) {
    auto micros = static_cast<double>(DrawThinkTime(rng).count()) / flags_.agents.speed;
    SteadyTime until = session_.Now() + base::Micros(std::llround(micros));
    co_await session_.runtime().SleepUntil(std::min(until, session_.end()));
  }

  Awaitable<AgentEnd> Probe() {
    SteadyTime begin = session_.Now();
    std::string body = AgentConversation::ProbeBody(flags_.model);
    AgentAnswer answer = co_await client_.Complete(std::move(body), false, kProbeTimeout);
    if (answer.end == AgentEnd::kWhole) probe_.Add(session_.Now() - begin);
    co_return answer.end;
  }

  /// One request, or all its copies; of these the worst end.
  Awaitable<AgentAnswer> Step(std::string body) {
    SteadyTime begin = session_.Now();
    std::vector<AgentAnswer> answers(profile_.copies);
    runtime::Scope scope(session_.runtime());
    for (AgentAnswer& answer : answers) scope.Spawn(Ask(body, answer));
    co_await scope.Join();
    for (AgentAnswer& answer : answers) {
      if (answer.end != AgentEnd::kWhole) co_return std::move(answer);
    }
    step_.Add(session_.Now() - begin);
    steps_in_window_ += session_.Now() < session_.end() ? 1 : 0;
    co_return std::move(answers.front());
  }

  Awaitable<void> Ask(std::string body, AgentAnswer& answer) {
    answer = co_await client_.Complete(std::move(body), profile_.stream, kStepTimeout);
  }

  BenchSession& session_;
  const BenchFlags& flags_;
  const AgentProfile& profile_;
  const std::string side_;
  http::Client http_;
  const AgentClient::Options target_;
  AgentClient client_;
  uint64_t numbers_ = 0;
  uint64_t completed_ = 0;
  uint64_t steps_in_window_ = 0;
  std::array<uint64_t, 5> ends_{};  // of tasks, by AgentEnd
  Latencies step_, probe_;
};

/// [[model]] of the own server.
std::string ModelTable(const BenchFlags& flags, const std::string& backend, uint32_t requests) {
  std::string table = fmt::format("[[model]]\nname = \"{}\"\nurl = \"{}\"\nconcurrency = {}\n",
                                  flags.model, backend, std::min(requests, 4096u));
  for (const std::string& line : flags.agents.model_options) table += line + "\n";
  return table;
}

void Describe(BenchSession& session) {
  const AgentFlags& agents = session.flags().agents;
  Report& report = session.report();
  report.Text("profile", FindAgentProfile(agents.profile)->help);
  report.Text("steps", agents.steps == StepMix::kOpen ? "open" : "recipe");
  report.Count("agents", session.flags().clients);
  report.Number("speed", agents.speed, 1);
  report.Number("fail_rate", agents.fail_rate, 4);
  report.Number("cut_rate", agents.cut_rate, 4);
}

/// A batch that keeps the model busy beside the agents.
class BatchBeside {
 public:
  explicit BatchBeside(BenchSession& session) : session_(session) {}

  Awaitable<Result<>> Begin() {
    const BenchFlags& flags = session_.flags();
    auto write = [directory = session_.directory(), lines = flags.agents.batch_lines,
                  model = flags.model] {
      return WriteBatchFile(directory, lines, model, kBatchTokens);
    };
    INFERQ_CO_ASSIGN(BatchFile input,
                     co_await session_.runtime().RunBlocking(runtime::kAnyLane, write));
    client::NewUpload upload{.file = input.file, .filename = "bench.jsonl"};
    INFERQ_CO_ASSIGN(client::File file, co_await session_.client().Upload(std::move(upload)));
    client::NewBatch batch{.input_file_id = file.id};
    INFERQ_CO_ASSIGN(batch_, co_await session_.client().CreateBatch(std::move(batch)));
    co_return Result<>{};
  }

  Awaitable<Result<>> End() {
    INFERQ_CO_ASSIGN(batch_, co_await session_.client().GetBatch(batch_.id));
    session_.report().Count("through_batch_lines_done", batch_.counts.completed);
    session_.report().Count("through_batch_lines_failed", batch_.counts.failed);
    if (batch_.status != "in_progress") co_return Result<>{};
    INFERQ_CO_TRY(co_await session_.client().CancelBatch(batch_.id));
    co_return Result<>{};
  }

 private:
  BenchSession& session_;
  client::Batch batch_;
};

Awaitable<Result<>> MeasureDirect(BenchSession& session, AgentBackendServer& backend) {
  AgentLoad load(session, "direct", backend.url(), "");
  co_await load.Run();
  load.Print(co_await backend.Take());
  co_return Result<>{};
}

Awaitable<Result<>> MeasureThrough(BenchSession& session, AgentBackendServer& backend) {
  const BenchFlags& flags = session.flags();
  if (flags.client.server.empty()) {
    uint32_t requests = flags.clients * FindAgentProfile(flags.agents.profile)->copies;
    INFERQ_CO_TRY(co_await session.Serve(ModelTable(flags, backend.url(), requests + 16)));
  }
  BatchBeside batch(session);
  if (flags.agents.batch_lines > 0) INFERQ_CO_TRY(co_await batch.Begin());
  AgentLoad load(session, "through", session.target().base_url, session.target().api_key);
  co_await load.Run();
  load.Print(co_await backend.Take());
  if (flags.agents.batch_lines > 0) INFERQ_CO_TRY(co_await batch.End());
  co_return Result<>{};
}

Awaitable<Result<>> MeasureSides(BenchSession& session, AgentBackendServer& backend) {
  const AgentFlags& agents = session.flags().agents;
  INFERQ_CO_TRY(backend.Listen(agents.backend_port));
  if (agents.direct) INFERQ_CO_TRY(co_await MeasureDirect(session, backend));
  if (session.stopping() || !agents.through) co_return Result<>{};
  co_return co_await MeasureThrough(session, backend);
}

}  // namespace

Awaitable<Result<>> BenchAgents(BenchSession& session) {
  const AgentFlags& agents = session.flags().agents;
  Describe(session);
  AgentBackendServer backend(session.runtime(), {.profile = FindAgentProfile(agents.profile),
                                                 .speed = agents.speed,
                                                 .fail_rate = agents.fail_rate,
                                                 .cut_rate = agents.cut_rate});
  auto measured = co_await MeasureSides(session, backend);
  co_await backend.Stop();
  co_return measured;
}

}  // namespace inferq::app
