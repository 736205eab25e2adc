#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "model/task.h"
#include "wire/worker_answers.h"

namespace inferq::service {

/// The external workers that were heard of lately, and what they hold. In memory only: after a
/// restart it fills again as they speak. It decides nothing; the queue's fences do.
///
/// Pure: time comes in. What is over is dropped by Sweep.
class WorkerRegistry {
 public:
  struct Limits {
    size_t workers_max = 10'000;        ///< One more is served, but not listed.
    base::Micros silence{600'000'000};  ///< Then a worker is forgotten.
  };
  struct Worker {
    std::string tenant;
    wire::WorkerObject seen;
    base::SteadyTime heard{};
  };
  struct Now {
    base::SteadyTime steady;
    base::WallTime wall;
  };

  explicit WorkerRegistry(Limits limits) : limits_(limits) {}

  /// The worker has spoken.
  std::shared_ptr<Worker> Touch(const std::string& tenant, const std::string& name, Now now);
  /// It has claimed the task, or renewed its lease.
  void Hold(model::TaskId task, const std::shared_ptr<Worker>& worker, base::SteadyTime until);
  void Drop(model::TaskId task);
  /// Of the worker that holds the task as far as is known; nullptr: nobody.
  const std::string* TenantOf(model::TaskId task) const;

  /// Drops leases that ran out; a part of them. @return false when all have been looked at.
  bool SweepLeases(base::SteadyTime now, size_t most);
  void SweepWorkers(base::SteadyTime now);
  /// By name.
  std::vector<wire::WorkerObject> List(const std::string& tenant) const;
  size_t held() const { return held_.size(); }

 private:
  struct Held {
    std::shared_ptr<Worker> worker;
    base::SteadyTime until;
  };

  const Limits limits_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Worker>> workers_;
  std::unordered_map<model::TaskId, Held> held_;
  size_t bucket_ = 0;  // where SweepLeases goes on
};

}  // namespace inferq::service
