#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "api/options.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "http/server.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "service/observer.h"
#include "service/service.h"

namespace inferq::app {

/// Turns what happens into logs and metrics: one line for each change of state and each request, no
/// prompts and no keys.
class ServeObserver final : public service::Observer {
 public:
  ServeObserver(const base::Clock& clock, obs::Logger& log, obs::Registry& metrics);

  // From the service, on its strand.

  void StoreOpened() override;
  void StoreClosed(const std::string& reason) override;
  void FileStored(const service::Caller& caller, const model::FileRecord& file) override;
  void FileDeleted(const model::FileRecord& file) override;
  void BatchMoved(const model::BatchRecord& batch) override;
  void WebhookAttempted(const std::string& batch, const model::WebhookDelivery& delivery) override;
  void AttemptEnded(const queue::ClaimedTask& task, const service::Attempt& attempt) override;
  void TasksSubmitted(const service::Caller& caller, uint64_t count) override;
  void TasksClaimed(const service::Caller& caller, uint64_t count) override;
  void TasksReported(const service::Caller& caller, std::string_view how,
                     const std::vector<base::Result<>>& outcomes) override;
  void ModelLoaded(const std::string& model) override;
  void ModelUnloaded(const std::string& model) override;
  void ModelFailed(const std::string& model, const base::Error& error) override;
  /// How things stand; call it now and then. nullopt: the store is not open.
  void Sample(const std::optional<service::StationStats>& stats, const service::Health& health);

  /// Shows a server's counts, which outlive the metrics' last rendering.
  void WatchServer(const http::ServerCounters& counters);
  /// From the gateway, on any of its loops.
  void RequestEnded(const api::AccessRecord& record);

 private:
  struct RequestSeries {
    obs::Histogram seconds;
    obs::Counter count;
  };
  RequestSeries SeriesOf(const api::AccessRecord& record);
  static void Count(obs::Counter& counter, double now, double& seen);

  const base::Clock& clock_;
  obs::Logger& log_;
  obs::Registry& metrics_;
  obs::Gauge ready_;
  obs::Gauge online_;
  obs::Gauge leases_;
  obs::Counter commits_;
  obs::Counter commit_seconds_;
  double commits_seen_ = 0;
  double commit_seconds_seen_ = 0;
  std::map<std::string, obs::Gauge> by_state_;
  // By method, route and status, all of which have few values.
  using RequestKey = std::tuple<std::string, std::string, int>;
  base::Mutex mu_;
  std::map<RequestKey, RequestSeries, std::less<>> requests_ GUARDED_BY(mu_);
};

}  // namespace inferq::app
