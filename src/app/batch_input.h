#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/file_system.h"
#include "service/ingest/line_source.h"

namespace inferq::app {

/// Batch lines, ready to be sent.
struct BatchInput {
  std::shared_ptr<base::File> file;  ///< Has no name any more: gone when nobody holds it.
  uint64_t lines = 0;
  uint64_t bad_lines = 0;
};

/// Why there is none, and whose fault it is.
struct BatchInputFailure {
  bool storage = false;  ///< Else the input's, or the options'.
  base::Error error;
};

/// Writes the requests of `read` as batch lines to a temporary file with mode 0600 in `directory`.
/// @param on_bad_line  sees each line that cannot be a request; such an input must not be sent.
std::expected<BatchInput, BatchInputFailure> MakeBatchInput(
    ingest::ReadBytes read, ingest::SourceOptions options, const std::string& directory,
    const std::function<void(const ingest::BadLine&)>& on_bad_line);

/// Reads standard input.
ingest::ReadBytes ReadStandardInput();

}  // namespace inferq::app
