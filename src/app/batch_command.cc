#include "app/batch_command.h"

#include <CLI/CLI.hpp>

#include "app/batch_edits.h"
#include "app/batch_follow.h"
#include "app/batch_submit.h"
#include "app/batch_view.h"
#include "app/batch_wait.h"
#include "app/client_session.h"

namespace inferq::app {

using base::Micros;
using runtime::Awaitable;

struct BatchCommand::Options {
  explicit Options(CLI::App& batch) : submit(batch), edits(batch) {}
  BatchSubmit submit;
  BatchEdits edits;
  ClientFlags client;
  std::string id;
  std::string output = "-";
  std::string errors;
  bool follow = false;
  uint64_t limit = 20;
  bool all = false;
  double timeout_seconds = 0;
  CLI::App* list = nullptr;
  CLI::App* status = nullptr;
  CLI::App* wait = nullptr;
  CLI::App* watch = nullptr;
  CLI::App* results = nullptr;
  CLI::App* cancel = nullptr;
};

namespace {

constexpr Micros kLongestPoll{5'000'000};
constexpr Micros kWatchPoll{1'000'000};

constexpr const char* kFooter = R"(
Examples:
  id=$(inferq batch submit prompts.csv --model glm-4)
  inferq batch wait $id && inferq batch results $id -o results.jsonl
  inferq batch results $id --follow -o results.jsonl   # as they come
  inferq batch list --all --json | jq -r 'select(.status == "failed") | .id'

The server is that of --server or INFERQ_SERVER, the key that of INFERQ_API_KEY, OPENAI_API_KEY or
--api-key-file.)";

constexpr const char* kListFooter = R"(
Example:
  inferq batch list --limit 5
Exit codes: 0 done; 3 the server is not reached or refuses.)";

constexpr const char* kStatusFooter = R"(
Examples:
  inferq batch status batch_abc
  inferq batch status batch_abc --json | jq .estimate.seconds_left
Exit codes: 0 done; 3 the server is not reached or refuses.)";

constexpr const char* kCancelFooter = R"(
Example:
  inferq batch cancel batch_abc && inferq batch results batch_abc -o so_far.jsonl
Exit codes: 0 done; 3 the server is not reached or refuses: the batch has ended otherwise.)";

constexpr const char* kWatchFooter = R"(
As `inferq batch wait`, with a look every second: a bar on a terminal, lines elsewhere, how long it
will take as the server estimates it.
Example:
  inferq batch watch batch_abc
Ctrl-C ends the watching, not the batch.
Exit codes: as of `inferq batch wait`.)";

constexpr const char* kWaitFooter = R"(
Example:
  inferq batch wait batch_abc --timeout 3600 && echo all lines succeeded
Ctrl-C ends the waiting, not the batch.
Exit codes: 0 all lines succeeded; 1 some failed; 3 the server is not reached or refuses; 5 the
batch failed, expired or was cancelled; 124 --timeout passed; 130 interrupted.)";

constexpr const char* kResultsFooter = R"(
Examples:
  inferq batch results batch_abc -o results.jsonl
  inferq batch results batch_abc --errors failed.jsonl | jq .response.body
  inferq batch results batch_abc --follow -o results.jsonl

--follow writes lines as they end, until the batch has ended. With or without it, what was
interrupted goes on with the same command. Exit codes: as of `inferq batch wait`; 2 when the batch
has not ended (without --follow); 4 the disk.)";

int PrintText(ClientSession& session, const std::string& text) {
  auto printed = Print(text);
  return printed ? kOk : session.StorageFailed(printed.error());
}

Awaitable<int> List(ClientSession& session, uint64_t limit) {
  auto batches = co_await session.client().ListBatches(limit);
  if (!batches) co_return session.Refused(batches.error());
  if (!session.flags().json) co_return PrintText(session, BatchTable(*batches));
  std::string lines;
  for (const client::Batch& batch : *batches) lines += batch.json + "\n";
  co_return PrintText(session, lines);
}

Awaitable<int> ShowBatch(ClientSession& session, base::Result<client::Batch> batch) {
  if (!batch) co_return session.Refused(batch.error());
  co_return PrintText(session, session.flags().json ? batch->json + "\n" : BatchDetails(*batch));
}

Awaitable<int> Status(ClientSession& session, std::string id) {
  auto batch = co_await session.client().GetBatch(id);
  co_return co_await ShowBatch(session, std::move(batch));
}

Awaitable<int> Cancel(ClientSession& session, std::string id) {
  auto batch = co_await session.client().CancelBatch(id);
  co_return co_await ShowBatch(session, std::move(batch));
}

Awaitable<int> Wait(ClientSession& session, std::string id, Micros timeout, Micros longest_poll) {
  WaitedBatch waited = co_await WaitForBatch(session, id, timeout, longest_poll);
  if (waited.batch && session.flags().json) {
    int printed = PrintText(session, waited.batch->json + "\n");
    if (printed != kOk) co_return printed;
  }
  co_return waited.code;
}

Awaitable<int> Results(ClientSession& session, std::string id, std::string output,
                       std::string errors) {
  auto batch = co_await session.client().GetBatch(id);
  if (!batch) co_return session.Refused(batch.error());
  if (!batch->ended()) {
    session.display().Say(
        fmt::format("{0} is {1}: wait for its end with inferq batch wait {0}", id, batch->status));
    co_return kUsage;
  }
  int code = co_await FetchResults(session, *batch, output, errors);
  session.display().Finish(BatchSummaryText(*batch), BatchSummaryJson(*batch), code == kOk);
  co_return code;
}

CLI::App* AddWithId(CLI::App& batch, const std::string& name, const std::string& help, auto& o) {
  CLI::App* command = batch.add_subcommand(name, help);
  command->add_option("ID", o.id, "The batch, as submit printed it")->required();
  AddClientOptions(*command, o.client);
  return command;
}

}  // namespace

BatchCommand::BatchCommand(CLI::App& root) {
  command_ = root.add_subcommand("batch", "Submit batches to a server, watch them, get results");
  command_->require_subcommand(1);
  command_->footer(kFooter);
  options_ = std::make_unique<Options>(*command_);
  Options& o = *options_;
  o.list = command_->add_subcommand("list", "List the batches, newest first");
  auto* limit = o.list->add_option("--limit", o.limit, "How many")
                    ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
                    ->capture_default_str();
  o.list->add_flag("--all", o.all, "All there are")->excludes(limit);
  AddClientOptions(*o.list, o.client);
  o.list->footer(kListFooter);
  o.status = AddWithId(*command_, "status", "Show a batch", o);
  o.status->footer(kStatusFooter);
  o.wait = AddWithId(*command_, "wait", "Wait until a batch has ended", o);
  o.wait->footer(kWaitFooter);
  o.wait->add_option("--timeout", o.timeout_seconds, "Seconds to wait at most; 0: no limit")
      ->check(CLI::Range(0.0, 1e8))
      ->capture_default_str();
  AddProgressOptions(*o.wait, o.client);
  o.watch = AddWithId(*command_, "watch", "Watch a batch until it has ended", o);
  o.watch->footer(kWatchFooter);
  AddProgressOptions(*o.watch, o.client);
  o.results = AddWithId(*command_, "results", "Get the results of a batch", o);
  o.results->footer(kResultsFooter);
  o.results->add_option("-o,--output", o.output, "Where the results go; '-': standard output")
      ->capture_default_str();
  o.results->add_option("--errors", o.errors,
                        "Where failed lines go (default: beside the output, *.errors.jsonl)");
  o.results->add_flag("--follow", o.follow, "Write lines as they end, also while the batch runs");
  AddProgressOptions(*o.results, o.client);
  o.cancel = AddWithId(*command_, "cancel", "Cancel a batch; lines that have ended are kept", o);
  o.cancel->footer(kCancelFooter);
}

BatchCommand::~BatchCommand() = default;

bool BatchCommand::chosen() const { return command_->parsed(); }

int BatchCommand::Execute() {
  const Options& o = *options_;
  if (options_->submit.chosen()) return options_->submit.Execute();
  if (options_->edits.chosen()) return options_->edits.Execute();
  using Session = ClientSession;
  if (o.list->parsed()) {
    auto list = [&o](Session& session) { return List(session, o.all ? 0 : o.limit); };
    return Session::Run("batch list", o.client, list);
  }
  if (o.status->parsed()) {
    auto status = [&o](Session& session) { return Status(session, o.id); };
    return Session::Run("batch status", o.client, status);
  }
  if (o.cancel->parsed()) {
    auto cancel = [&o](Session& session) { return Cancel(session, o.id); };
    return Session::Run("batch cancel", o.client, cancel);
  }
  if (o.wait->parsed()) {
    auto timeout = Micros(static_cast<int64_t>(o.timeout_seconds * 1e6));
    auto wait = [&o, timeout](Session& session) {
      return Wait(session, o.id, timeout, kLongestPoll);
    };
    return Session::Run("batch wait", o.client, wait);
  }
  if (o.watch->parsed()) {
    auto watch = [&o](Session& session) { return Wait(session, o.id, Micros(0), kWatchPoll); };
    return Session::Run("batch watch", o.client, watch);
  }
  if (o.follow) {
    auto follow = [&o](Session& session) {
      return FollowResults(session, o.id, o.output, o.errors);
    };
    return Session::Run("batch results", o.client, follow);
  }
  auto results = [&o](Session& session) { return Results(session, o.id, o.output, o.errors); };
  return Session::Run("batch results", o.client, results);
}

}  // namespace inferq::app
