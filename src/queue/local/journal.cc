#include "queue/local/journal.h"

namespace inferq::queue {

bool ChangeSet::empty() const {
  return specs.empty() && states.empty() && checkpoints.empty() && keys.empty() &&
         removed_keys.empty() && tenant_times.empty() && !meta && batches.empty() &&
         lines.empty() && removed_lines.empty() && removed_tasks.empty() && past.empty() &&
         pauses.empty() && removed_pauses.empty();
}

}  // namespace inferq::queue
