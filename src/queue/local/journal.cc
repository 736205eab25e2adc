#include "queue/local/journal.h"

namespace inferq::queue {

bool ChangeSet::empty() const {
  return specs.empty() && states.empty() && checkpoints.empty() && keys.empty() &&
         removed_keys.empty() && tenant_times.empty() && !meta;
}

}  // namespace inferq::queue
