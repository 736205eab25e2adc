#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"

namespace inferq::queue {

/// What the queue needs to know of a line before it becomes a task.
struct LineInfo {
  uint64_t offset = 0;  ///< Of the request, in the batch's input.
  uint32_t length = 0;
  uint32_t cost = 1;  ///< Tokens, estimated; >= 1.
  uint32_t lane = 0;  ///< Position in BatchPlan::lanes.
  model::LocalityKey locality{};
  friend bool operator==(const LineInfo&, const LineInfo&) = default;
};

/// Bytes of a line in an index: all the same, so that a line is found by its number.
inline constexpr size_t kLineInfoBytes = 56;
/// Appends one record with its checksum.
void EncodeLine(const LineInfo& line, std::string& out);
/// Takes an index, or a part of it that begins at a record, apart. kDataLoss: a checksum does not
/// fit, or it ends within a record.
base::Result<std::vector<LineInfo>> DecodeLines(std::string_view bytes);

/// A batch whose lines lie in a file, with an index of them beside it.
struct BatchPlan {
  model::BatchId batch;
  std::string tenant = "default";
  std::vector<std::string> lanes;  ///< 1..1000.
  /// Lines first_line..lines-1 are added; earlier ones are tasks of their own already.
  uint64_t first_line = 0;
  uint64_t lines = 0;
  uint64_t input_blob = 0;          ///< Holds the requests.
  uint64_t index_blob = 0;          ///< Holds `lines` records of kLineInfoBytes.
  model::TokenCount mean_cost = 1;  ///< Of a line; decides the pace.
  int priority = 0;
  std::optional<base::WallTime> deadline;    ///< Of every line.
  std::optional<base::WallTime> expires_at;  ///< Of the batch as a whole.
  uint32_t max_attempts = 3;
  std::string traceparent;
  friend bool operator==(const BatchPlan&, const BatchPlan&) = default;
};

/// What may change while a batch lives; unset: stays.
struct BatchEdit {
  model::BatchId batch;
  std::optional<int> priority{};
  std::optional<std::optional<base::WallTime>> deadline{};
};

/// Reads `count` lines of an index from line `first` on, fewer only at its end. Blocks; any thread.
using ReadLines = std::function<base::Result<std::vector<LineInfo>>(
    uint64_t index_blob, uint64_t first, uint32_t count)>;

}  // namespace inferq::queue
