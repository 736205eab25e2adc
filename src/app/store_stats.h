#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "queue/local/journal_stats.h"

namespace inferq::app {

/// What `inferq store stats` shows.
struct StoreStats {
  queue::JournalStats journal;
  std::vector<std::pair<std::string, uint64_t>> files;  ///< Name and bytes; "blobs" all of them.
};

base::Result<StoreStats> CountStore(const std::string& directory);

/// For people, and for programs (one JSON object); both end in a line feed.
std::string StatsText(const StoreStats& stats);
std::string StatsJson(const StoreStats& stats);

}  // namespace inferq::app
