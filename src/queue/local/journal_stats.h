#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/state.h"

namespace inferq::queue {

/// What a journal holds, counted.
struct JournalStats {
  struct Group {
    std::string tenant;
    std::string lane;
    uint64_t by_state[model::kStateCount] = {};
  };
  struct Batch {
    model::BatchId batch;
    std::string tenant;
    uint64_t lines = 0;  ///< Without those that are tasks of their own from the start.
    uint64_t tasks = 0;  ///< Rows of their own, live and ended.
    uint64_t ended[model::kStateCount] = {};  ///< Lines, by state.
  };
  std::vector<Group> groups;   ///< Tasks with rows, by tenant and lane.
  std::vector<Batch> batches;  ///< Those that were submitted as a whole, in order of id.
  uint64_t idempotency_keys = 0;
  uint64_t checkpoints = 0;
  uint64_t past_generations = 0;
  uint64_t pauses = 0;
  uint64_t garbage_lines = 0;  ///< Of forgotten batches, still to be removed.
  uint64_t page_bytes = 0;
  uint64_t pages = 0;
  uint64_t free_pages = 0;  ///< Of them.
};

/// Counts one moment of a journal that may be in use; blocks for as long as it takes to read it.
/// Fails as sqlite::OpenReader.
base::Result<JournalStats> CountJournal(const std::string& path);

}  // namespace inferq::queue
