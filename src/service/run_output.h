#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "blob/blob_store.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/run_line.h"
#include "service/verified_file.h"

namespace inferq::service {

using runtime::Awaitable;

enum class OutputFormat : uint8_t { kJsonl, kCsv };

/// Sums over everything that is in the output files.
struct OutputTotals {
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;    ///< Of these, not computed again.
  uint64_t distinct_tokens = 0;  ///< Of these, what a perfect prefix cache would compute.
  uint64_t completion_tokens = 0;
};

/// "results.jsonl" -> "results.errors.jsonl"
std::string ErrorsPathOf(const std::string& output);

/// The two files that a person reads: results, and errors. They are a projection of the store, in
/// the order in which lines ended, so they can be written again at any time and come out the same:
/// the first CatchUp after a restart compares what is there, keeps what agrees and repairs the rest
/// (VerifiedFile).
class RunOutput {
 public:
  struct Options {
    std::string path;
    OutputFormat format = OutputFormat::kJsonl;
    std::vector<std::string> columns;  ///< Header of the CSV, without the columns that we add.
    model::BatchId batch;
  };

  RunOutput(runtime::Runtime& runtime, base::FileSystem& fs, blob::BlobStore& blobs,
            queue::Queue& queue, Options options);

  /// Opens or creates the files. Blocks.
  base::Result<> Open();
  /// Writes the lines of all tasks that ended since the last call.
  Awaitable<base::Result<>> CatchUp();
  /// Makes the files durable; removes an errors file with nothing in it.
  Awaitable<base::Result<>> Finish();

  const OutputTotals& totals() const { return totals_; }
  /// First byte behind the last result in the log of results that a task points to.
  uint64_t results_end(blob::BlobId log) const;

 private:
  base::Result<> WriteAll(const std::vector<model::TaskRecord>& ended);
  base::Result<> WriteSuccess(const model::TaskRecord& task);
  base::Result<> WriteFailure(const model::TaskRecord& task);
  base::Result<> Close();

  runtime::Runtime& runtime_;
  base::FileSystem& fs_;
  blob::BlobStore& blobs_;
  queue::Queue& queue_;
  const Options options_;
  std::unique_ptr<VerifiedFile> results_;
  std::unique_ptr<VerifiedFile> errors_;
  uint64_t last_sequence_ = 0;
  std::map<blob::BlobId, uint64_t> results_end_;
  OutputTotals totals_;
};

}  // namespace inferq::service
