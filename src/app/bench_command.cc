#include "app/bench_command.h"

#include <CLI/CLI.hpp>
#include <list>

#include "app/bench_cases.h"
#include "app/exit_code.h"

namespace inferq::app {
namespace {

constexpr const char* kFooter = R"(
Examples:
  inferq bench queue                      tasks a second, against a server of its own
  inferq bench submit --clients 64 --json | tail -n 1 | jq .submissions_per_s
  inferq bench queue --idempotency        what idempotency keys cost
  inferq bench submit --rate 5000         latencies at a rate that does not wait for answers
  inferq bench pickup --server http://queue-1:8080/v1 --api-key-file key --rate 1000
  inferq bench agents                     tasks of phone agents that a failing backend costs

Without --server it starts `inferq serve` of this binary with a fake model and a store of its own
below --data, and removes both at the end. Measure on an idle machine, and on the disk that counts:
every acknowledgement waits for its fdatasync, whose rate is in the report. docs/bench.md explains
every figure.
Exit codes: 0 measured; 1 calls were refused; 2 wrong usage; 3 the server is not reached or
fails; 4 standard output is closed; 130 interrupted (what was measured until then is printed).)";

constexpr const char* kQueueFooter = R"(
Each client submits a chunk, completes what it holds and claims the next with the same call.
Examples:
  inferq bench queue --clients 4 --chunk 100 --seconds 10
  inferq bench queue --rate 20000 --data /mnt/ssd)";

constexpr const char* kSubmitFooter = R"(
Examples:
  inferq bench submit --clients 64
  inferq bench submit --clients 64 --idempotency
  inferq bench submit --clients 64 --rate 10000)";

constexpr const char* kPickupFooter = R"(
Half of the clients submit, half wait for work in long polls. Without --rate it measures for a
second what they reach and takes half of that.
Examples:
  inferq bench pickup
  inferq bench pickup --clients 32 --rate 4000)";

constexpr const char* kIngestFooter = R"(
Examples:
  inferq bench ingest
  inferq bench ingest --lines 100000 --json
  inferq bench ingest --server http://queue-1:8080/v1 --model glm-4)";

constexpr const char* kRestartFooter = R"(
The server is always one of its own, since it is killed.
Examples:
  inferq bench restart
  inferq bench restart --tasks 100000 --data /mnt/ssd)";

constexpr const char* kAgentsFooter = R"(
Phones in a closed loop, with the habits of the agents' real client (two repetitions, none of a
stream that breaks off), at a backend that fails as it is told to; then the same through inferq.
Images are 1.2 MB each. A task is lost when one of its steps is.
Examples:
  inferq bench agents
  inferq bench agents --profile E --clients 200 --speed 20 --steps recipe
  inferq bench agents --side direct --cut-rate 0.05
  inferq bench agents --server http://127.0.0.1:8080/v1 --backend-port 9000
      where that server has a model "phone" with url = "http://127.0.0.1:9000/v1")";

void AddOutput(CLI::App& command, BenchFlags& flags) {
  auto* json = command.add_flag("--json", flags.json, "Print one JSON object");
  command.add_flag("--markdown", flags.markdown, "Print tables for a page of results")
      ->excludes(json);
  command.add_option("--data", flags.data,
                     "Directory on the disk to measure; a store is made in it and removed again "
                     "(default: TMPDIR, else /var/tmp)");
}

void AddServer(CLI::App& command, BenchFlags& flags) {
  command.add_option("--server", flags.client.server,
                     "Base URL of a server to measure instead of one of its own");
  command.add_option("--api-key-file", flags.client.api_key_file,
                     "File whose first line is the key (else INFERQ_API_KEY or OPENAI_API_KEY)");
}

void AddClients(CLI::App& command, BenchFlags& flags) {
  command.add_option("--clients", flags.clients, "Connections at once")
      ->check(CLI::Range(1u, 10'000u))
      ->capture_default_str();
}

void AddLoad(CLI::App& command, BenchFlags& flags, const std::string& rate) {
  AddClients(command, flags);
  command.add_option("--seconds", flags.seconds, "How long to measure")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command.add_option("--rate", flags.rate, rate)->check(CLI::Range(0.0, 1e7));
}

void AddKeys(CLI::App& command, BenchFlags& flags) {
  command.add_flag("--idempotency", flags.idempotency, "Give every task an idempotency key");
}

void AddChunk(CLI::App& command, BenchFlags& flags) {
  command.add_option("--chunk", flags.chunk, "Tasks in a call")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
}

void AddAgents(CLI::App& command, BenchFlags& flags) {
  AgentFlags& agents = flags.agents;
  flags.clients = 50;
  flags.seconds = 60;
  flags.model = "phone";
  flags.starts_late = true;
  flags.queues_tasks = false;
  AddClients(command, flags);
  command.add_option("--seconds", flags.seconds, "How long to measure each side")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--profile", [&agents](const std::string& name) { agents.profile = name[0]; },
          "A fleet, B replay, C vote, D judge, E text only (default: A)")
      ->check(CLI::IsMember({"A", "B", "C", "D", "E"}));
  command
      .add_option_function<std::string>(
          "--steps",
          [&agents](const std::string& name) {
            agents.steps = name == "open" ? StepMix::kOpen : StepMix::kRecipe;
          },
          "Of a task: open (1 to 100, median 8) or recipe (5 or 6) (default: open)")
      ->check(CLI::IsMember({"open", "recipe"}));
  command.add_option("--speed", agents.speed, "How often faster than real phones and models")
      ->check(CLI::Range(0.1, 10'000.0))
      ->capture_default_str();
  command.add_option("--fail-rate", agents.fail_rate, "Requests that the backend answers with 5xx")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--cut-rate", agents.cut_rate, "Answers of the backend that break off")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--side",
          [&agents](const std::string& side) {
            agents.direct = side != "through";
            agents.through = side != "direct";
          },
          "Where the clients connect: direct (the backend), through (a server before it) or both, "
          "one after the other (default: both)")
      ->check(CLI::IsMember({"direct", "through", "both"}));
  command
      .add_option("--batch", agents.batch_lines,
                  "Lines of a batch for the same model that the server runs beside the agents")
      ->check(CLI::Range(uint64_t{0}, uint64_t{10'000'000}));
  command.add_option("--model-option", agents.model_options,
                     "A line for the model's table in the own server's configuration; may be "
                     "given again");
  command.add_option("--backend-port", agents.backend_port,
                     "Where the backend listens on 127.0.0.1, for a given server (default: a free "
                     "port)");
  command.add_option("--model", flags.model, "Which the requests name")->capture_default_str();
}

constexpr const char* kRateHelp =
    "Tasks a second that are meant to be sent, whether or not answers come; latencies count from "
    "the intended time (default: as fast as answers come)";

}  // namespace

/// One subcommand with what it was told.
struct BenchCommand::Case {
  std::string name;
  BenchSession::Body run;
  CLI::App* command = nullptr;
  BenchFlags flags{};
};

struct BenchCommand::Options {
  CLI::App& bench;
  std::list<Case> cases{};  // options point into it

  Case& Add(const std::string& name, const std::string& help, const char* footer,
            BenchSession::Body run) {
    Case& made = cases.emplace_back(name, std::move(run), bench.add_subcommand(name, help));
    made.command->footer(footer);
    AddOutput(*made.command, made.flags);
    return made;
  }
};

BenchCommand::BenchCommand(CLI::App& root) {
  command_ = root.add_subcommand("bench", "Measure how fast a server is, on this machine's disk");
  command_->require_subcommand(1);
  command_->footer(kFooter);
  options_ = std::make_unique<Options>(*command_);
  Options& o = *options_;

  Case& queue =
      o.Add("queue", "Tasks through submit, claim and complete", kQueueFooter, BenchQueue);
  AddLoad(*queue.command, queue.flags, kRateHelp);
  AddChunk(*queue.command, queue.flags);
  AddKeys(*queue.command, queue.flags);
  AddServer(*queue.command, queue.flags);

  Case& submit = o.Add("submit", "Submissions of one task each", kSubmitFooter, BenchSubmit);
  submit.flags.clients = 64;
  AddLoad(*submit.command, submit.flags, kRateHelp);
  AddKeys(*submit.command, submit.flags);
  AddServer(*submit.command, submit.flags);

  Case& pickup = o.Add("pickup", "From a task's acknowledgement to a worker's claim", kPickupFooter,
                       BenchPickup);
  pickup.flags.clients = 32;
  AddLoad(*pickup.command, pickup.flags,
          "Tasks a second (default: half of what the clients reach)");
  AddServer(*pickup.command, pickup.flags);

  Case& ingest = o.Add("ingest", "A large batch file, until it is validated and durable",
                       kIngestFooter, BenchIngest);
  ingest.flags.queues_tasks = false;
  ingest.command->add_option("--lines", ingest.flags.lines, "Requests in the file")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
      ->capture_default_str();
  ingest.command->add_option("--model", ingest.flags.model, "Which the lines name")
      ->capture_default_str();
  AddServer(*ingest.command, ingest.flags);

  Case& restart = o.Add("restart", "A killed server with a full queue, until its first claim",
                        kRestartFooter, BenchRestart);
  restart.flags.chunk = 1000;
  restart.command->add_option("--tasks", restart.flags.tasks, "How many are queued")
      ->check(CLI::Range(uint64_t{1}, uint64_t{9'000'000}))
      ->capture_default_str();
  AddClients(*restart.command, restart.flags);
  AddChunk(*restart.command, restart.flags);

  Case& agents = o.Add("agents", "Phone agents at a backend that fails, alone and through inferq",
                       kAgentsFooter, BenchAgents);
  AddAgents(*agents.command, agents.flags);
  AddServer(*agents.command, agents.flags);
}

BenchCommand::~BenchCommand() = default;

bool BenchCommand::chosen() const { return command_->parsed(); }

int BenchCommand::Execute() {
  for (Case& each : options_->cases) {
    if (each.command->parsed()) return BenchSession::Run(each.name, each.flags, each.run);
  }
  return kUsage;
}

}  // namespace inferq::app
