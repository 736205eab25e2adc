#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "blob/blob_store.h"
#include "model/task.h"

namespace inferq::service {

/// One line of a run as it stands in the store: a request, or what is wrong with the input there.
struct RunLine {
  std::string custom_id;
  uint64_t line = 0;                 ///< Where it begins in the input, from 1.
  std::string request;               ///< The OpenAI batch line; empty for a bad line.
  std::vector<std::string> columns;  ///< The row's cells, when the output is CSV.
  std::string bad_code;              ///< Of a bad line, e.g. "invalid_json_line".
  std::string bad_message;

  bool bad() const { return !bad_code.empty(); }
};

/// One JSON object and a newline.
std::string EncodeRunLine(const RunLine& line);
/// kDataLoss when the text is not what EncodeRunLine gave.
base::Result<RunLine> DecodeRunLine(std::string_view text);
/// Reads one line of the store. Blocks.
base::Result<RunLine> ReadRunLine(blob::BlobStore& blobs, const model::Extent& extent);

}  // namespace inferq::service
