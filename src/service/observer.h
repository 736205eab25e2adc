#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/batch.h"
#include "model/file.h"
#include "queue/queue.h"
#include "service/caller.h"
#include "service/dispatcher.h"

namespace inferq::service {

/// Hears of every change of state, for logs and metrics. Called on the strand; must not block or
/// call back.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void StoreOpened() {}
  /// @param reason  "" when it was asked for.
  virtual void StoreClosed(const std::string& /*reason*/) {}
  virtual void FileStored(const Caller&, const model::FileRecord&) {}
  virtual void FileDeleted(const model::FileRecord&) {}
  /// Made, or in another state.
  virtual void BatchMoved(const model::BatchRecord&) {}
  /// An endpoint was told that a batch has ended, or could not be.
  virtual void WebhookAttempted(const std::string& /*batch*/, const model::WebhookDelivery&) {}
  virtual void AttemptEnded(const queue::ClaimedTask&, const Attempt&) {}
  virtual void TasksSubmitted(const Caller&, uint64_t /*count*/) {}
  /// By an external worker, and started.
  virtual void TasksClaimed(const Caller&, uint64_t /*count*/) {}
  /// An external worker said how its tasks went. @param how  "completed", "failed", "released".
  virtual void TasksReported(const Caller&, std::string_view /*how*/,
                             const std::vector<base::Result<>>& /*outcomes*/) {}
  virtual void ModelLoaded(const std::string& /*model*/) {}
  virtual void ModelUnloaded(const std::string& /*model*/) {}
  virtual void ModelFailed(const std::string& /*model*/, const base::Error&) {}
};

/// Hears and forgets.
inline Observer& IgnoreEvents() {
  static Observer ignore;
  return ignore;
}

}  // namespace inferq::service
