#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "model/batch.h"
#include "service/ingest/line_source.h"

namespace inferq::service {

/// Makes batch lines of a file of rows, in a blob beside it. Blocks; one thread at a time.
///
/// Order: Open -> Step until there are no more -> Finish, or Abandon at any time.
class RowLines {
 public:
  struct Limits {
    uint64_t lines = 0;     ///< More rows are a problem.
    uint32_t problems = 0;  ///< That are kept.
  };
  /// kInvalidArgument: the file as a whole is none, or the template names an unknown column; a
  /// sentence for the client.
  static base::Result<std::unique_ptr<RowLines>> Open(std::shared_ptr<blob::BlobStore> blobs,
                                                      blob::BlobId input,
                                                      ingest::SourceOptions options, Limits limits);
  /// Up to `n` more rows. @return whether there are more. kInvalidArgument: what follows cannot be
  /// told apart into rows.
  base::Result<bool> Step(uint64_t n);
  /// The sealed blob with the lines; 0, and none is left, when there are problems.
  base::Result<blob::BlobId> Finish();
  base::Result<> Abandon();

  /// With physical lines of the file.
  std::vector<model::BatchProblem>& problems() { return problems_; }

 private:
  RowLines(std::shared_ptr<blob::BlobStore> blobs, Limits limits)
      : blobs_(std::move(blobs)), limits_(limits) {}
  base::Result<> Add(const std::string& line);
  base::Result<> Flush();
  void Report(model::BatchProblem problem);

  const std::shared_ptr<blob::BlobStore> blobs_;
  const Limits limits_;
  std::unique_ptr<ingest::LineSource> source_;
  blob::BlobId lines_ = 0;
  std::string buffer_;
  uint64_t rows_ = 0;
  std::vector<model::BatchProblem> problems_;
};

/// How the rows of a batch are read.
ingest::SourceOptions RowSource(const model::BatchRecord& batch);

}  // namespace inferq::service
