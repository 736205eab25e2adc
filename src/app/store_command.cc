#include "app/store_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>

#include "app/client_session.h"
#include "app/exit_code.h"
#include "app/progress.h"
#include "app/store_backup.h"
#include "app/store_check.h"
#include "app/store_export.h"
#include "app/store_stats.h"

namespace inferq::app {
namespace {

constexpr const char* kFooter = R"(
DIR is the data directory of `inferq serve` (./inferq-data unless you chose another), or
OUTPUT.inferq of an `inferq run`. All of these only read, and may run while the server works: it
never waits for them.

Examples:
  inferq store check inferq-data
  inferq store backup inferq-data /backups/monday && inferq store check /backups/monday
  inferq store export inferq-data | jq -r 'select(.state == "failed") | .error.message'

To go back to a backup: stop the server, put the directory in the place of DIR, start the server.

Exit codes: 0 done, sound; 1 check found problems; 2 wrong usage, no store there; 4 the disk, or a
store that this inferq cannot read; 130 interrupted.)";

int Complain(const base::Error& error) {
  fmt::print(stderr, "inferq store: {}\n", error.message());
  bool usage = error.code() == base::Code::kNotFound || error.code() == base::Code::kAlreadyExists;
  return usage ? kUsage : kStorageFailed;
}

int PrintOrComplain(const std::string& text) {
  auto printed = Print(text);
  return printed ? kOk : Complain(printed.error());
}

}  // namespace

StoreCommand::StoreCommand(CLI::App& root) {
  command_ = root.add_subcommand("store", "Look into a store: check, count, back up, export");
  command_->require_subcommand(1);
  command_->footer(kFooter);
  auto add = [this](const char* name, const char* what) {
    CLI::App* command = command_->add_subcommand(name, what);
    command->add_option("DIR", directory_, "The store")->required();
    return command;
  };
  check_ = add("check",
               "Look at every record: checksums, indices, and whether records fit each other and "
               "the blobs that unfinished work needs. Reads the whole store");
  check_->add_flag("--json", json_, "Print one JSON object");
  stats_ = add("stats", "Count tasks by tenant, lane and state, batches, and bytes of files");
  stats_->add_flag("--json", json_, "Print one JSON object");
  backup_ = add("backup", "Copy the store as it is at one moment");
  backup_->add_option("DEST", destination_, "A new directory; appears when the copy is whole")
      ->required();
  add("export",
      "Print tasks, then ended lines of batches, as JSON lines. Requests and results are named by "
      "blob, offset and length");
}

bool StoreCommand::chosen() const { return command_->parsed(); }

int StoreCommand::Execute() {
  if (auto there = RequireStore(directory_); !there) return Complain(there.error());
  if (check_->parsed()) return Check();
  if (stats_->parsed()) return Stats();
  return backup_->parsed() ? BackUp() : Export();
}

int StoreCommand::Check() {
  auto report = CheckStore(directory_);
  if (!report) return Complain(report.error());
  int printed = PrintOrComplain(json_ ? ReportJson(*report) : ReportText(*report, directory_));
  if (printed != kOk) return printed;
  return report->problems == 0 ? kOk : kSomeFailed;
}

int StoreCommand::Stats() {
  auto stats = CountStore(directory_);
  if (!stats) return Complain(stats.error());
  return PrintOrComplain(json_ ? StatsJson(*stats) : StatsText(*stats));
}

int StoreCommand::BackUp() {
  while (destination_.size() > 1 && destination_.ends_with('/')) destination_.pop_back();
  auto summary = BackUpStore(directory_, destination_);
  if (!summary) return Complain(summary.error());
  return PrintOrComplain(fmt::format("{}: {} files, {} bytes\n", destination_,
                                     WithCommas(summary->files), WithCommas(summary->bytes)));
}

// Whoever reads may have read enough: a closed pipe is no failure.
int StoreCommand::Export() {
  bool enough = false;
  auto done = ExportStore(directory_, [&enough](std::string_view text) {
    auto printed = Print(text);
    enough = !printed && errno == EPIPE;
    return printed;
  });
  return done || enough ? kOk : Complain(done.error());
}

}  // namespace inferq::app
