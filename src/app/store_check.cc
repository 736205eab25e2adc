#include "app/store_check.h"

#include <charconv>
#include <map>
#include <optional>

#include "app/progress.h"
#include "app/table.h"
#include "base/file_system.h"
#include "catalog/store.h"
#include "queue/local/journal_check.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using base::Code;
using base::Result;

// Sizes of blobs by number. Looked up when first asked, so after the moment that a check sees: what
// its records need was there by then. Files are named NUMBER.blob and NUMBER.NAME.log.
class BlobSizes {
 public:
  explicit BlobSizes(std::string directory) : directory_(std::move(directory)) {}

  std::optional<uint64_t> Of(uint64_t blob) {
    if (!listed_) List();
    auto found = sizes_.find(blob);
    return found == sizes_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  void List() {
    listed_ = true;
    auto names = base::PosixFileSystem().List(directory_);
    if (!names) return;  // then there are no blobs
    for (const std::string& name : *names) {
      uint64_t id = 0;
      auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id, 16);
      bool whole = name.ends_with(".blob") || name.ends_with(".log");
      if (error != std::errc() || !whole || *end != '.') continue;
      auto file = base::PosixFileSystem().Open(directory_ + "/" + name, base::OpenMode::kRead);
      auto size = file ? (*file)->Size() : Result<uint64_t>(0);
      if (file && size) sizes_[id] = *size;
    }
  }

  std::string directory_;
  bool listed_ = false;
  std::map<uint64_t, uint64_t> sizes_;
};

void Add(StoreReport& report, std::string problem) {
  ++report.problems;
  report.shown.push_back(std::move(problem));
}

Result<> CheckJournal(const std::string& directory, StoreReport& report) {
  BlobSizes sizes(directory + "/blobs");
  queue::JournalCheckOptions options;
  options.path = directory + "/journal.db";
  options.blob_size = [&sizes](uint64_t blob) { return sizes.Of(blob); };
  INFERQ_ASSIGN(queue::JournalCheck check, queue::CheckJournal(options));
  report.rows += check.rows;
  report.problems += check.problems;
  for (std::string& text : check.shown) report.shown.push_back("journal.db: " + std::move(text));
  return {};
}

// Only `inferq serve` has one.
Result<> CheckCatalog(const std::string& directory, StoreReport& report) {
  BlobSizes sizes(directory + "/blobs");
  std::string path = directory + "/catalog.db";
  INFERQ_ASSIGN(bool exists, base::PosixFileSystem().Exists(path));
  if (!exists) return {};
  catalog::Visitor visitor;
  visitor.on_last_sequence = [](uint64_t) {};
  visitor.on_file = [&](model::FileRecord file) -> Result<> {
    ++report.rows;
    if (file.removed) return {};
    auto size = sizes.Of(file.blob);
    if (size == file.bytes) return {};
    Add(report,
        fmt::format("catalog.db: {} has {} bytes in blob {:#x}, which {}", file.id, file.bytes,
                    file.blob, size ? fmt::format("has {}", *size) : "is not there"));
    return {};
  };
  visitor.on_batch = [&](model::BatchRecord) -> Result<> { return ++report.rows, Result<>(); };
  visitor.on_upload = [&](model::UploadRecord upload) -> Result<> {
    ++report.rows;
    for (const model::UploadPart& part : upload.parts) {
      if (sizes.Of(part.blob) == part.bytes) continue;
      Add(report, fmt::format("catalog.db: {} of {} has {} bytes in blob {:#x}, which it lacks",
                              part.id, upload.id, part.bytes, part.blob));
    }
    return {};
  };
  Result<> read = catalog::Store(path, "").Read(visitor);
  if (read || read.error().code() != Code::kDataLoss) return read;
  Add(report, "catalog.db: " + read.error().message());
  return {};
}

}  // namespace

Result<> RequireStore(const std::string& directory) {
  INFERQ_ASSIGN(bool exists, base::PosixFileSystem().Exists(directory + "/journal.db"));
  if (exists) return {};
  return base::Fail(Code::kNotFound,
                    "there is no store in {}: it would have a file journal.db. Name the data "
                    "directory of `inferq serve`, or OUTPUT.inferq of an `inferq run`",
                    directory);
}

Result<StoreReport> CheckStore(const std::string& directory) {
  StoreReport report;
  INFERQ_TRY(CheckJournal(directory, report));
  INFERQ_TRY(CheckCatalog(directory, report));
  return report;
}

std::string ReportText(const StoreReport& report, const std::string& directory) {
  if (report.problems == 0) {
    return fmt::format("{} is sound: {} records\n", directory, WithCommas(report.rows));
  }
  std::string text;
  for (const std::string& problem : report.shown) text += Printable(problem) + "\n";
  if (report.problems > report.shown.size()) {
    text += fmt::format("and {} more\n", WithCommas(report.problems - report.shown.size()));
  }
  return text + fmt::format(
                    "{} has {} problems in {} records. Keep a copy of it as it is, then go back to "
                    "a backup\n",
                    directory, WithCommas(report.problems), WithCommas(report.rows));
}

std::string ReportJson(const StoreReport& report) {
  std::string shown;
  for (const std::string& problem : report.shown) {
    shown += (shown.empty() ? "" : ",") + wire::JsonString(problem);
  }
  return fmt::format("{{\"sound\":{},\"records\":{},\"problems\":{},\"shown\":[{}]}}\n",
                     report.problems == 0, report.rows, report.problems, shown);
}

}  // namespace inferq::app
