#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "blob/blob_store.h"
#include "model/ids.h"

namespace inferq::service {

/// The store of the run that writes `output`: "results.jsonl" -> "results.jsonl.inferq".
std::string StorePathOf(const std::string& output);

/// What a run is, written once all its lines are in the store. Without it there is no run.
struct RunManifest {
  /// What decides the answers, by name, "input" (size and hash) among them.
  std::vector<std::pair<std::string, std::string>> identity;
  blob::BlobId lines_blob = 0;  ///< The lines (run_line.h), one behind the other.
  blob::BlobId index_blob = 0;  ///< Where they lie (line_index.h); 0: of an earlier inferq, none.
  uint64_t lines = 0;
  uint64_t bad_lines = 0;
  uint64_t cost = 0;  ///< Tokens that all lines are expected to take.
  model::BatchId batch;
  std::vector<std::string> columns;  ///< Names of the input's columns, for CSV output.
};

std::string EncodeManifest(const RunManifest& manifest);
/// kDataLoss: not a manifest. kFailedPrecondition: written by a newer inferq.
base::Result<RunManifest> DecodeManifest(std::string_view text);

/// "" when the two agree, else a sentence that names what differs: "--template was \"a\", now
/// \"b\"".
std::string DescribeDifference(const RunManifest& stored,
                               const std::vector<std::pair<std::string, std::string>>& now);

/// The directory of one run: `run.json` (the manifest), `journal.db` (the queue), `blobs/` (lines
/// and results). Opening one without a manifest empties it: whatever is there was never
/// acknowledged. Calls block.
class RunStore {
 public:
  /// @param forget  Drops an earlier run.
  static base::Result<std::unique_ptr<RunStore>> Open(base::FileSystem& fs, std::string directory,
                                                      bool forget);

  blob::BlobStore& blobs() { return *blobs_; }
  const std::shared_ptr<blob::BlobStore>& shared_blobs() const { return blobs_; }
  std::string journal_path() const { return directory_ + "/journal.db"; }
  const std::optional<RunManifest>& manifest() const { return manifest_; }
  /// Atomically; from now on the run exists.
  base::Result<> SaveManifest(RunManifest manifest);

 private:
  RunStore(base::FileSystem& fs, std::string directory)
      : fs_(fs), directory_(std::move(directory)) {}
  base::Result<> LoadManifest();
  base::Result<> Empty();

  base::FileSystem& fs_;
  std::string directory_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::optional<RunManifest> manifest_;
};

}  // namespace inferq::service
