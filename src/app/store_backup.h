#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace inferq::app {

struct BackupSummary {
  uint64_t files = 0;
  uint64_t bytes = 0;
};

/// Copies a store that may be in use to a new directory, as it was at one moment.
///
/// Manifest of a run first, then catalog and journal at one moment, then blobs: all that a record
/// needs is durable before the record is, so what is copied later holds all that what was copied
/// earlier needs. A blob that is deleted meanwhile starts it over. The copy is called DEST.part
/// until it is whole and durable.
/// @return kAlreadyExists: there is something at `to`. kAborted: the store changes too fast. Else
///         what the disk says.
base::Result<BackupSummary> BackUpStore(const std::string& from, const std::string& to);

}  // namespace inferq::app
