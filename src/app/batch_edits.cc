#include "app/batch_edits.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/batch_view.h"
#include "app/client_session.h"
#include "app/point_in_time.h"
#include "model/task.h"

namespace inferq::app {

using runtime::Awaitable;

struct BatchEdits::Options {
  ClientFlags client;
  std::string id;
  std::optional<int> priority;
  std::string deadline;
  bool failed_only = true;
  CLI::App* pause = nullptr;
  CLI::App* resume = nullptr;
  CLI::App* edit = nullptr;
  CLI::App* retry = nullptr;
};

namespace {

constexpr const char* kPauseFooter = R"(
What runs ends, nothing more is started, and the batch's window goes on. A restart of the server
does not end it.
Example:
  inferq batch pause batch_abc && inferq batch resume batch_abc
Exit codes: 0 it is paused; 3 the server is not reached, or refuses: the batch has ended.)";

constexpr const char* kResumeFooter = R"(
Example:
  inferq batch resume batch_abc && inferq batch watch batch_abc
Exit codes: 0 it runs; 3 the server is not reached, or refuses: the batch has ended.)";

constexpr const char* kEditFooter = R"(
Lines that wait follow at once; lines that run are not touched.
Examples:
  inferq batch edit batch_abc --priority 500
  inferq batch edit batch_abc --deadline +2h
  inferq batch edit batch_abc --deadline none
Exit codes: 0 done; 2 wrong usage; 3 the server is not reached, or refuses: the batch has ended.)";

constexpr const char* kRetryFooter = R"(
Nothing is uploaded: the server has the lines. The new batch's id is printed.
Example:
  id=$(inferq batch retry batch_abc --failed-only) && inferq batch results $id --follow
Exit codes: 0 done; 3 the server is not reached, or refuses: the batch has not ended, no line failed
or expired, its error file was deleted, or it is being retried already.)";

// What a call answered.
Awaitable<int> Show(ClientSession& session, Awaitable<base::Result<client::Batch>> call,
                    bool id_only) {
  auto batch = co_await std::move(call);
  if (!batch) co_return session.Refused(batch.error());
  std::string text = session.flags().json ? batch->json + "\n"
                     : id_only            ? batch->id + "\n"
                                          : BatchDetails(*batch);
  auto printed = Print(text);
  co_return printed ? kOk : session.StorageFailed(printed.error());
}

CLI::App* Add(CLI::App& batch, const char* name, const char* help, const char* footer, auto& o) {
  CLI::App* command = batch.add_subcommand(name, help);
  command->footer(footer);
  command->add_option("ID", o.id, "The batch, as submit printed it")->required();
  AddClientOptions(*command, o.client);
  return command;
}

// What the options of `edit` say.
base::Result<client::BatchChange> ChangeOf(std::optional<int> priority,
                                           const std::string& deadline) {
  client::BatchChange change{.priority = priority};
  if (!deadline.empty()) {
    INFERQ_ASSIGN(auto to, ParsePointInTime(deadline, base::SystemClock().Wall()));
    change.deadline = to;
  }
  if (change.priority || change.deadline) return change;
  return base::Fail(base::Code::kInvalidArgument, "give --priority or --deadline");
}

}  // namespace

BatchEdits::BatchEdits(CLI::App& batch) : options_(std::make_unique<Options>()) {
  Options& o = *options_;
  o.pause = Add(batch, "pause", "Start no more lines of a batch for now", kPauseFooter, o);
  o.resume = Add(batch, "resume", "Go on with a batch that is paused", kResumeFooter, o);
  o.edit = Add(batch, "edit", "Change the priority or deadline of a batch", kEditFooter, o);
  o.edit->add_option("--priority", o.priority, "Higher goes first; 0 is usual")
      ->check(CLI::Range(model::kMinPriority, model::kMaxPriority));
  o.edit->add_option("--deadline", o.deadline,
                     "When it becomes due and goes first: +2h, +90m, Unix seconds; or none");
  o.retry =
      Add(batch, "retry", "Run the lines of a batch that failed or expired again", kRetryFooter, o);
  o.retry->add_flag("--failed-only", o.failed_only,
                    "Only lines that failed or expired; always so, said for the reader");
}

BatchEdits::~BatchEdits() = default;

bool BatchEdits::chosen() const {
  const Options& o = *options_;
  return o.pause->parsed() || o.resume->parsed() || o.edit->parsed() || o.retry->parsed();
}

int BatchEdits::Execute() {
  const Options& o = *options_;
  using Session = ClientSession;
  if (o.retry->parsed()) {
    auto retry = [&o](Session& session) {
      return Show(session, session.client().RetryBatch(o.id), true);
    };
    return Session::Run("batch retry", o.client, retry);
  }
  if (o.edit->parsed()) {
    auto change = ChangeOf(o.priority, o.deadline);
    if (!change) {
      std::fprintf(stderr, "inferq batch edit: %s\n", change.error().message().c_str());
      return kUsage;
    }
    auto edit = [&o, &change](Session& session) {
      return Show(session, session.client().EditBatch(o.id, *change), false);
    };
    return Session::Run("batch edit", o.client, edit);
  }
  bool pause = o.pause->parsed();
  auto set = [&o, pause](Session& session) {
    return Show(session, session.client().PauseBatch(o.id, pause), false);
  };
  return Session::Run(pause ? "batch pause" : "batch resume", o.client, set);
}

}  // namespace inferq::app
