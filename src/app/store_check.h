#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace inferq::app {

/// What `inferq store check` finds.
struct StoreReport {
  uint64_t rows = 0;
  uint64_t problems = 0;
  std::vector<std::string> shown;  ///< The first of them, each a sentence with its file before it.
};

/// Whether there is a store in a directory, of `inferq serve` or of a run. kNotFound: no, and what
/// to name.
base::Result<> RequireStore(const std::string& directory);

/// Checks journal, catalog and blobs of a store that may be in use. Changes nothing. Fails where
/// there is nothing that could be checked.
base::Result<StoreReport> CheckStore(const std::string& directory);

/// For people, and for programs (one JSON object); both end in a line feed.
std::string ReportText(const StoreReport& report, const std::string& directory);
std::string ReportJson(const StoreReport& report);

}  // namespace inferq::app
