#include "app/batch_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/table.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

constexpr size_t kProblemsShown = 20;

using client::Batch;
using client::BatchProblem;
using client::File;

std::string Counts(const Batch& batch) {
  return fmt::format("{}/{}", WithCommas(batch.counts.ended()), WithCommas(batch.counts.total));
}

std::string ProblemText(const BatchProblem& problem) {
  std::string where = problem.line ? fmt::format("line {}: ", *problem.line) : "";
  return where + Printable(problem.message.empty() ? problem.code : problem.message);
}

std::string ProblemLines(const Batch& batch) {
  std::string text;
  for (size_t i = 0; i < std::min(batch.problems.size(), kProblemsShown); ++i) {
    text += "\n  " + ProblemText(batch.problems[i]);
  }
  if (batch.problems.size() > kProblemsShown) {
    text += fmt::format("\n  and {} more: inferq batch status {} --json",
                        WithCommas(batch.problems.size() - kProblemsShown), batch.id);
  }
  return text;
}

// "0:42 to 1:10": hardly longer than the second; "" where the server does not say.
std::string TimeLeftText(const Batch& batch) {
  if (!batch.seconds_left) return "";
  std::string text = Duration(*batch.seconds_left);
  if (batch.seconds_left_p90) text += " to " + Duration(*batch.seconds_left_p90);
  return text;
}

std::string StatusText(const Batch& batch) {
  return Printable(batch.status) + (batch.paused ? ", paused" : "");
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

bool BatchProgressView::HasCounts() const {
  return batch_.counts.total > 0 && batch_.status != "validating";
}

std::string BatchProgressView::Failures(const char* format) const {
  if (batch_.counts.failed == 0) return "";
  return fmt::format(fmt::runtime(format), WithCommas(batch_.counts.failed));
}

// As the server estimates it, else from the mean pace since waiting began.
std::string BatchProgressView::TimeLeft(const char* format) const {
  if (batch_.seconds_left) {
    return fmt::format(fmt::runtime(format), TimeLeftText(batch_));
  }
  uint64_t ended = batch_.counts.ended();
  if (ended <= ended_before_ || ended > batch_.counts.total) return "";
  double seconds = std::chrono::duration<double>(waited_).count();
  double left = seconds * static_cast<double>(batch_.counts.total - ended) /
                static_cast<double>(ended - ended_before_);
  return fmt::format(fmt::runtime(format), Duration(left));
}

std::string BatchProgressView::Bar(int width) const {
  if (!HasCounts()) return Printable(batch_.status).substr(0, static_cast<size_t>(width));
  std::string tail = Counts(batch_) + Failures("  {} failed");
  bool runs = batch_.status == "in_progress" && !batch_.paused;
  tail += runs ? TimeLeft("  {} left") : "  " + StatusText(batch_);
  return BarWithTail(batch_.counts.ended(), batch_.counts.total, tail, width);
}

std::string BatchProgressView::Line() const {
  std::string line = fmt::format("{} is {}", batch_.id, StatusText(batch_));
  if (!HasCounts()) return line;
  return line +
         fmt::format(": {} of {} lines done", WithCommas(batch_.counts.ended()),
                     WithCommas(batch_.counts.total)) +
         Failures(" ({} failed)") + (batch_.paused ? "" : TimeLeft(", about {} left"));
}

std::string BatchProgressView::Json() const {
  return fmt::format(R"({{"event":"progress","batch":{}}})", batch_.json);
}

std::string TransferView::Text() const {
  std::string total = total_ > 0 ? " of " + Bytes(total_) : "";
  return fmt::format("{}  {}{}", what_, Bytes(done_), total);
}

std::string TransferView::Bar(int width) const {
  if (total_ == 0) return Text().substr(0, static_cast<size_t>(width));
  return BarWithTail(done_, total_, Text(), width);
}

std::string TransferView::Json() const {
  return fmt::format(R"({{"event":"transfer","what":{},"bytes":{},"total_bytes":{}}})",
                     wire::JsonString(what_), done_, total_ > 0 ? std::to_string(total_) : "null");
}

std::string BatchSummaryText(const Batch& batch) {
  std::string text = fmt::format("{}: {}; {} of {} lines succeeded, {} failed", batch.id,
                                 Printable(batch.status), WithCommas(batch.counts.completed),
                                 WithCommas(batch.counts.total), WithCommas(batch.counts.failed));
  if (batch.input_tokens + batch.output_tokens > 0) {
    text += fmt::format("\ntokens: {} in, {} out", WithCommas(batch.input_tokens),
                        WithCommas(batch.output_tokens));
  }
  return text + ProblemLines(batch);
}

std::string BatchSummaryJson(const Batch& batch) {
  return fmt::format(R"({{"event":"summary","batch":{}}})", batch.json);
}

std::string BatchDetails(const Batch& batch) {
  Table table({"id", batch.id});
  table.AddRow({"status", StatusText(batch)});
  table.AddRow(
      {"lines", fmt::format("{} of {} succeeded, {} failed", WithCommas(batch.counts.completed),
                            WithCommas(batch.counts.total), WithCommas(batch.counts.failed))});
  table.AddRow({"endpoint", OrDash(batch.endpoint)});
  table.AddRow({"model", OrDash(batch.model)});
  table.AddRow({"created", LocalTime(batch.created)});
  table.AddRow({"started", LocalTime(batch.started)});
  table.AddRow({"ended", LocalTime(batch.ended_at)});
  table.AddRow({"expires", LocalTime(batch.expires)});
  if (batch.seconds_left) table.AddRow({"time left", TimeLeftText(batch)});
  if (!batch.retry_of.empty()) table.AddRow({"retry of", batch.retry_of});
  table.AddRow({"tokens", fmt::format("{} in, {} out", WithCommas(batch.input_tokens),
                                      WithCommas(batch.output_tokens))});
  table.AddRow({"input file", OrDash(batch.input_file_id)});
  table.AddRow({"output file", OrDash(batch.output_file_id)});
  table.AddRow({"error file", OrDash(batch.error_file_id)});
  std::string problems = ProblemLines(batch);
  return table.Text() + (problems.empty() ? "" : "problems" + problems + "\n");
}

std::string FileDetails(const File& file) {
  Table table({"id", file.id});
  table.AddRow({"name", OrDash(file.filename)});
  table.AddRow({"purpose", OrDash(file.purpose)});
  table.AddRow({"size", Bytes(file.bytes)});
  table.AddRow({"created", LocalTime(file.created)});
  table.AddRow({"expires", LocalTime(file.expires)});
  return table.Text();
}

std::string BatchTable(const std::vector<Batch>& batches) {
  Table table({"ID", "STATUS", "LINES", "FAILED", "CREATED", "MODEL"});
  for (const Batch& batch : batches) {
    table.AddRow({batch.id, batch.status, Counts(batch), WithCommas(batch.counts.failed),
                  LocalTime(batch.created), OrDash(batch.model)});
  }
  return table.Text();
}

std::string FileTable(const std::vector<File>& files) {
  Table table({"ID", "PURPOSE", "SIZE", "CREATED", "NAME"});
  for (const File& file : files) {
    table.AddRow(
        {file.id, file.purpose, Bytes(file.bytes), LocalTime(file.created), OrDash(file.filename)});
  }
  return table.Text();
}

}  // namespace inferq::app
