#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "blob/blob_store.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/result_log.h"
#include "service/service.h"
#include "service/worker_registry.h"

namespace inferq::service {

/// External workers: other processes that claim tasks of their tenant's kinds over HTTP, and report
/// how those went. The queue's leases and fences decide; here is what lies around them: payloads,
/// results, whose task it is, and who was heard of.
///
/// On the strand. Drain makes waiting claims end soon; calls go on until the store is closed.
class Workers {
 public:
  Workers(runtime::Runtime& runtime, queue::Queue& queue, std::shared_ptr<blob::BlobStore> blobs,
          ResultLog& results, Observer& observer, WorkerLimits limits);

  Awaitable<base::Result<std::vector<ClaimedWork>>> Claim(Caller caller, wire::WorkerClaim call,
                                                          HungUp gone);
  Awaitable<std::vector<HeldReply>> Renew(Caller caller, wire::RenewCall call);
  Awaitable<std::vector<HeldReply>> Heartbeat(Caller caller, wire::HeartbeatCall call);
  /// A failure of the whole call: the results could not be stored.
  Awaitable<base::Result<Completed>> Complete(Caller caller, wire::CompleteCall call, HungUp gone);
  Awaitable<base::Result<std::vector<base::Result<>>>> Fail(Caller caller, wire::FailCall call);
  Awaitable<std::vector<base::Result<>>> Release(Caller caller, wire::ReleaseCall call);
  std::vector<wire::WorkerObject> List(const Caller& caller) const;

  void Drain() { draining_ = true; }
  /// Forgets who was silent for long, and leases that ran out.
  Awaitable<void> Sweep();

 private:
  using Outcomes = std::vector<base::Result<>>;
  std::shared_ptr<WorkerRegistry::Worker> Touch(const Caller& caller, const std::string& name);
  Awaitable<base::Result<std::vector<queue::ClaimedTask>>> Await(queue::ClaimRequest request,
                                                                 base::Micros wait, HungUp gone);
  /// Hands back what is too much for one answer.
  Awaitable<void> CutToSize(std::vector<queue::ClaimedTask>& claimed);
  Awaitable<std::vector<ClaimedWork>> Begin(std::vector<queue::ClaimedTask> claimed);
  /// Whether the tasks are of the caller's kinds; kNotFound each that is not.
  Awaitable<Outcomes> Own(Caller caller, std::vector<model::TaskId> tasks);
  Awaitable<bool> Owns(const Caller& caller, model::TaskId task);
  Awaitable<std::vector<HeldReply>> Extend(Caller caller, std::string worker,
                                           std::vector<queue::Renewal> renewals);
  /// The tasks that were taken are nobody's any more.
  void Settle(const std::vector<model::TaskId>& tasks, const Outcomes& outcomes);

  runtime::Runtime& runtime_;
  queue::Queue& queue_;
  std::shared_ptr<blob::BlobStore> blobs_;
  ResultLog& results_;
  Observer& observer_;
  const WorkerLimits limits_;
  WorkerRegistry registry_;
  std::unordered_map<std::string, uint32_t> waiting_;  // claims, by tenant
  bool draining_ = false;
};

}  // namespace inferq::service
