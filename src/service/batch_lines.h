#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "model/batch.h"
#include "model/task.h"
#include "service/ingest/input.h"
#include "service/ingest/item_reader.h"
#include "service/ingest/line_source.h"
#include "service/line_index.h"
#include "service/repeated_ids.h"
#include "wire/chat.h"

namespace inferq::service {

/// What was found in a batch's file.
struct BatchSurvey {
  uint64_t lines = 0;  ///< Requests, good ones and bad ones.
  std::string model;   ///< Of all of them; "" when they differ.
  bool one_model = true;
  std::vector<std::string> models;            ///< Of the lines, in the order of the index.
  blob::BlobId input = 0;                     ///< Lines made of rows; 0: the file has them.
  blob::BlobId index = 0;                     ///< Where the lines lie; 0: there are problems.
  uint64_t cost = 0;                          ///< Tokens, estimated, of all good lines together.
  uint64_t prompt_tokens = 0;                 ///< Of them, those of the prompts.
  uint64_t inputs = 0;                        ///< Of embeddings.
  uint64_t blob_lines = 0;                    ///< Lines that name images.
  std::vector<model::BatchProblem> problems;  ///< The first ones.
  uint64_t bad_lines = 0;                     ///< All of them.
};

/// What is wrong with the images that a line of so many bytes names; nullopt: nothing. Any thread.
using ImageRule = std::function<std::optional<model::BatchProblem>(std::span<const std::string> ids,
                                                                   uint64_t size)>;

/// What a batch's lines must meet.
struct BatchRules {
  wire::Endpoint endpoint = wire::Endpoint::kChatCompletions;
  std::function<bool(const std::string&)> offers_model;  ///< Any thread.
  ImageRule image_problem;
  uint64_t max_lines = 0;
  uint32_t max_problems = 0;  ///< Listed; one more says how many are not.
  uint64_t max_bytes = UINT64_MAX;
  uint64_t max_inputs = UINT64_MAX;
};

/// Looks at every line of a batch's file before any of them is run. Blocks; one thread at a time.
class BatchValidator {
 public:
  /// kInvalidArgument: the file as a whole is no batch, or too large for one.
  static base::Result<std::unique_ptr<BatchValidator>> Open(std::shared_ptr<blob::BlobStore> blobs,
                                                            blob::BlobId blob, BatchRules rules);
  /// Looks at up to `n` more lines. @return whether there are more.
  base::Result<bool> Step(uint64_t n);
  /// Removes what was written beside the file, when Step did not come to the end.
  base::Result<> Abandon();
  const BatchSurvey& survey() const { return survey_; }

 private:
  BatchValidator(std::shared_ptr<blob::BlobStore> blobs, BatchRules rules)
      : blobs_(std::move(blobs)), rules_(std::move(rules)), index_(*blobs_), ids_(*blobs_) {}
  base::Result<> Look(const ingest::Line& line);
  void LookAtImages(const ingest::Line& line);
  base::Result<> Finish();
  base::Result<> ReportRepeats();
  void Trim();
  uint32_t LaneOf(const std::string& model);
  void Report(model::BatchProblem problem);

  const std::shared_ptr<blob::BlobStore> blobs_;
  const BatchRules rules_;
  std::shared_ptr<uint64_t> begin_ = std::make_shared<uint64_t>(0);  // behind a byte order mark
  std::unique_ptr<ingest::LineSource> source_;
  LineIndexWriter index_;
  RepeatedIds ids_;
  std::unordered_map<std::string, uint32_t> lanes_;
  BatchSurvey survey_;
};

/// The bytes of a blob, in order.
/// @param begin  the bytes in front of it are left out; a byte order mark there moves it.
ingest::ReadBytes ReadFrom(std::shared_ptr<blob::BlobStore> blobs, blob::BlobId blob,
                           std::shared_ptr<uint64_t> begin);

/// Cuts what a problem quotes of a client's text.
void ShortenProblem(model::BatchProblem& problem);

/// The custom_id of a stored batch line; "" when it is damaged or gone, since that must not keep
/// its task from ending. Blocks. Other failures are the disk's.
base::Result<std::string> CustomIdOf(blob::BlobStore& blobs, const model::Extent& line);

/// A request of a validated file.
struct StoredLine {
  std::string custom_id;
  std::string_view text;  ///< Valid until the cursor moves.
};

/// Walks the lines of a validated file in order. Blocks; one thread at a time.
class BatchCursor {
 public:
  BatchCursor(std::shared_ptr<blob::BlobStore> blobs, blob::BlobId blob);
  base::Result<> Skip(uint64_t lines);
  /// nullopt at the end.
  base::Result<std::optional<StoredLine>> Next();

 private:
  ingest::Input input_;
  ingest::JsonLinesReader reader_;
};

}  // namespace inferq::service
