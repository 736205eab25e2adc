#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "service/ingest/input.h"
#include "service/ingest/line_source.h"

namespace inferq::ingest {

struct Recognised {
  Format format = Format::kCsv;
  char separator = ',';  ///< Of a CSV.
};

/// Looks at the beginning of the input and drops its byte order mark. A format that the options
/// force is believed.
/// @return kInvalidArgument: nothing in it, UTF-16, lines that end with CR alone, or a bad
/// separator.
base::Result<Recognised> Recognise(Input& input, const SourceOptions& options);

/// Whether an item has the shape of a batch line, however wrong it may be otherwise.
bool IsBatchLine(std::string_view text);

/// Column names of a header row: without white space around them.
/// @return kInvalidArgument: a name occurs twice.
base::Result<std::vector<std::string>> CsvColumns(std::span<const std::string> header);

}  // namespace inferq::ingest
