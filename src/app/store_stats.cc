#include "app/store_stats.h"

#include <numeric>

#include "app/progress.h"
#include "app/table.h"
#include "base/file_system.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using base::Result;
using queue::JournalStats;
using wire::JsonString;

std::vector<std::string> StateNames() {
  std::vector<std::string> names;
  for (int i = 0; i < model::kStateCount; ++i) {
    names.emplace_back(StateName(static_cast<model::State>(i)));
  }
  return names;
}

// A row of numbers behind some names; "-" for none.
std::vector<std::string> Cells(std::vector<std::string> names, const uint64_t* counts, int first) {
  for (int i = first; i < model::kStateCount; ++i) {
    names.push_back(counts[i] == 0 ? "-" : WithCommas(counts[i]));
  }
  return names;
}

std::vector<std::string> Header(std::vector<std::string> names, int first) {
  for (int i = first; i < model::kStateCount; ++i)
    names.push_back(StateNames()[static_cast<size_t>(i)]);
  return names;
}

constexpr int kFirstEnding = static_cast<int>(model::State::kSucceeded);

uint64_t Waiting(const JournalStats::Batch& batch) {
  uint64_t gone = std::accumulate(batch.ended, batch.ended + model::kStateCount, batch.tasks);
  return batch.lines - std::min(batch.lines, gone);
}

std::string BatchesText(const JournalStats& stats) {
  if (stats.batches.empty()) return "";
  Table table(Header({"BATCH", "TENANT", "LINES", "UNTOUCHED", "TASKS"}, kFirstEnding));
  for (const JournalStats::Batch& batch : stats.batches) {
    table.AddRow(Cells({ToString(batch.batch), Printable(batch.tenant), WithCommas(batch.lines),
                        WithCommas(Waiting(batch)), WithCommas(batch.tasks)},
                       batch.ended, kFirstEnding));
  }
  return "\n" + table.Text();
}

std::string CountsJson(const uint64_t* counts) {
  std::string text;
  for (int i = 0; i < model::kStateCount; ++i) {
    text += fmt::format("{}\"{}\":{}", text.empty() ? "" : ",",
                        StateNames()[static_cast<size_t>(i)], counts[i]);
  }
  return "{" + text + "}";
}

template <class Items, class Show>
std::string JsonArray(const Items& items, Show show) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ",") + show(item);
  return "[" + text + "]";
}

Result<uint64_t> SizeOf(const std::string& path) {
  INFERQ_ASSIGN(auto file, base::PosixFileSystem().Open(path, base::OpenMode::kRead));
  return file->Size();
}

// All files of a directory together; what is gone meanwhile does not count.
uint64_t SizeOfAll(const std::string& directory) {
  auto names = base::PosixFileSystem().List(directory);
  uint64_t bytes = 0;
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    bytes += SizeOf(directory + "/" + name).value_or(0);
  }
  return bytes;
}

}  // namespace

Result<StoreStats> CountStore(const std::string& directory) {
  StoreStats stats;
  INFERQ_ASSIGN(stats.journal, queue::CountJournal(directory + "/journal.db"));
  for (const char* name : {"journal.db", "journal.db-wal", "catalog.db", "catalog.db-wal"}) {
    auto size = SizeOf(directory + "/" + name);
    if (size) stats.files.emplace_back(name, *size);
  }
  stats.files.emplace_back("blobs", SizeOfAll(directory + "/blobs"));
  return stats;
}

std::string StatsText(const StoreStats& stats) {
  const JournalStats& j = stats.journal;
  Table tasks(Header({"TENANT", "LANE"}, 0));
  for (const JournalStats::Group& group : j.groups) {
    tasks.AddRow(Cells({Printable(group.tenant), Printable(group.lane)}, group.by_state, 0));
  }
  Table files({"FILE", "BYTES"});
  for (const auto& [name, bytes] : stats.files) files.AddRow({name, WithCommas(bytes)});
  return tasks.Text() + BatchesText(j) + "\n" + files.Text() +
         fmt::format(
             "\n{} idempotency keys, {} checkpoints, {} earlier generations, {} pauses\n"
             "{} lines of forgotten batches are still to be removed; {} of {} pages of the journal "
             "are free\n",
             WithCommas(j.idempotency_keys), WithCommas(j.checkpoints),
             WithCommas(j.past_generations), WithCommas(j.pauses), WithCommas(j.garbage_lines),
             WithCommas(j.free_pages), WithCommas(j.pages));
}

std::string StatsJson(const StoreStats& stats) {
  const JournalStats& j = stats.journal;
  auto group = [](const JournalStats::Group& g) {
    return fmt::format("{{\"tenant\":{},\"lane\":{},\"states\":{}}}", JsonString(g.tenant),
                       JsonString(g.lane), CountsJson(g.by_state));
  };
  auto batch = [](const JournalStats::Batch& b) {
    return fmt::format(
        "{{\"batch\":\"{}\",\"tenant\":{},\"lines\":{},\"untouched\":{},\"tasks\":{},\"ended\":{}}"
        "}",
        ToString(b.batch), JsonString(b.tenant), b.lines, Waiting(b), b.tasks, CountsJson(b.ended));
  };
  auto file = [](const std::pair<std::string, uint64_t>& f) {
    return fmt::format("{{\"name\":{},\"bytes\":{}}}", JsonString(f.first), f.second);
  };
  return fmt::format(
      "{{\"tasks\":{},\"batches\":{},\"files\":{},\"idempotency_keys\":{},\"checkpoints\":{},"
      "\"past_generations\":{},\"pauses\":{},\"garbage_lines\":{},\"page_bytes\":{},\"pages\":{},"
      "\"free_pages\":{}}}\n",
      JsonArray(j.groups, group), JsonArray(j.batches, batch), JsonArray(stats.files, file),
      j.idempotency_keys, j.checkpoints, j.past_generations, j.pauses, j.garbage_lines,
      j.page_bytes, j.pages, j.free_pages);
}

}  // namespace inferq::app
