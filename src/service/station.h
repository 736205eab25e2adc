#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "service/batch_results.h"
#include "service/batches.h"
#include "service/blob_refs.h"
#include "service/files.h"
#include "service/ids.h"
#include "service/image_blobs.h"
#include "service/model_host.h"
#include "service/online.h"
#include "service/result_log.h"
#include "service/service.h"
#include "service/tasks.h"
#include "service/uploads.h"
#include "service/webhooks.h"
#include "service/workers.h"

namespace inferq::service {

/// Everything of the service that lives as long as its store is open: queue, catalog, blobs, and
/// what runs over them. When the store fails it is closed and another one is opened in its place.
///
/// Order: construct -> Serve() (opens, recovers, runs until Drain or a failure, closes) -> destroy,
/// when no call of its parts is under way. On the strand.
class Station final : private TaskHandler {
 public:
  Station(const ServiceEnvironment& environment, const ServiceOptions& options, IdMaker& ids,
          LowOnRoom low_on_room, std::function<void()> on_change);
  ~Station() override;

  /// @return OK after Drain; else why the store cannot be used (further).
  Awaitable<base::Result<>> Serve();
  void Drain(base::SteadyTime deadline);
  /// The store does not take what was given to it: ends Serve with the first such error.
  void Fail(base::Error error);
  /// After a failed call: was it the store?
  void Judge(const base::Error& error);

  /// Open, recovered, and taking work.
  bool serving() const { return serving_; }
  /// While serving.
  StationStats stats() const;
  /// What is degraded, a sentence each.
  std::vector<std::string> troubles() const;

  Files& files() { return *files_; }
  Uploads& uploads() { return *uploads_; }
  ImageBlobs& images() { return *images_; }
  Batches& batches() { return *batches_; }
  BatchResults& results() { return *batch_results_; }
  Online& online() { return *online_; }
  Tasks& tasks() { return *tasks_; }
  Workers& workers() { return *workers_; }
  Webhooks& webhooks() { return *webhooks_; }

 private:
  Awaitable<base::Result<>> Open();
  Awaitable<base::Result<>> OpenTasks();
  Awaitable<base::Error> WhyBroken();
  Awaitable<void> Close();
  void StartHosts();
  Awaitable<void> RunHost(ModelHost* host);
  Awaitable<void> Housekeep();
  Awaitable<void> ForgetOldRecords();
  Awaitable<void> ReclaimLogs();
  void WakeModel(const std::string& model);

  Awaitable<base::Result<Work>> LoadRequest(queue::ClaimedTask task);

  // TaskHandler: to the use case that the task belongs to.
  Awaitable<base::Result<Work>> Load(queue::ClaimedTask task) override;
  Awaitable<base::Result<engine::Delta>> Collect(queue::ClaimedTask task,
                                                 engine::Generation& generation) override;
  Awaitable<base::Result<model::Extent>> StoreAnswer(queue::ClaimedTask task, Work work,
                                                     engine::Delta answer) override;
  Awaitable<base::Result<model::Extent>> StoreError(queue::ClaimedTask task,
                                                    base::Error error) override;
  Awaitable<void> Settled(queue::ClaimedTask task, Attempt attempt) override;
  Awaitable<base::Result<model::Extent>> AppendResult(queue::ClaimedTask task, std::string line);

  const ServiceEnvironment& env_;
  const ServiceOptions& options_;
  IdMaker& ids_;
  LowOnRoom low_on_room_;
  std::function<void()> on_change_;
  runtime::Event changed_;
  runtime::Scope scope_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::unique_ptr<queue::Queue> queue_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::shared_ptr<BlobRefs> refs_;
  std::unique_ptr<ResultLog> results_;
  std::map<std::pair<model::TaskId, model::Fence>, model::Extent> unrecorded_;  // of results_
  std::unique_ptr<ResultLog> requests_;
  std::unique_ptr<Files> files_;
  std::unique_ptr<Uploads> uploads_;
  std::unique_ptr<ImageBlobs> images_;
  std::unique_ptr<Online> online_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<Batches> batches_;
  std::unique_ptr<BatchResults> batch_results_;
  std::unique_ptr<Tasks> tasks_;
  std::unique_ptr<Workers> workers_;
  std::map<std::string, std::unique_ptr<ModelHost>> hosts_;
  bool serving_ = false;
  std::optional<base::SteadyTime> drain_until_;
  std::optional<base::Error> failure_;
};

}  // namespace inferq::service
