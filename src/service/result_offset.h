#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace inferq::service {

/// Which lines of a batch a reader wants.
enum class ResultFilter : char { kAll = 'a', kSucceeded = 's', kFailed = 'f' };

/// How far somebody has read the results of a batch. While the batch runs, `finish_sequence` says
/// where to go on; once its files are written, which hold the same lines in the same order, the
/// bytes do. So it means the same before and after.
struct ResultOffset {
  ResultFilter filter = ResultFilter::kAll;
  uint64_t batch = 0;            ///< The batch's sequence: whose offset it is.
  uint64_t finish_sequence = 0;  ///< Of the last line that was read, or passed over.
  uint64_t output_bytes = 0;     ///< Read of the lines that succeeded,
  uint64_t error_bytes = 0;      ///< and of the others.
  friend bool operator==(const ResultOffset&, const ResultOffset&) = default;
};

/// Opaque text of letters, digits and dots.
std::string ToString(const ResultOffset& offset);
/// "" is the beginning. kInvalidArgument, param "after": not an offset, or of another batch or
/// filter than `begin`, which is the beginning of what is asked for.
base::Result<ResultOffset> ParseResultOffset(std::string_view text, const ResultOffset& begin);

}  // namespace inferq::service
