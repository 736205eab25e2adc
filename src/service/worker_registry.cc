#include "service/worker_registry.h"

#include <algorithm>

namespace inferq::service {

std::shared_ptr<WorkerRegistry::Worker> WorkerRegistry::Touch(const std::string& tenant,
                                                              const std::string& name, Now now) {
  auto key = std::pair(tenant, name);
  auto found = workers_.find(key);
  if (found == workers_.end() && workers_.size() >= limits_.workers_max) SweepWorkers(now.steady);
  std::shared_ptr<Worker> worker;
  if (found != workers_.end()) {
    worker = found->second;
  } else {
    worker = std::make_shared<Worker>();
    worker->tenant = tenant;
    worker->seen.worker = name;
    if (workers_.size() < limits_.workers_max) workers_.emplace(std::move(key), worker);
  }
  worker->heard = now.steady;
  worker->seen.last_seen = now.wall;
  return worker;
}

void WorkerRegistry::Hold(model::TaskId task, const std::shared_ptr<Worker>& worker,
                          base::SteadyTime until) {
  Held& held = held_[task];
  if (held.worker != worker) {
    if (held.worker) --held.worker->seen.leases;
    held.worker = worker;
    ++worker->seen.leases;
  }
  held.until = until;
}

void WorkerRegistry::Drop(model::TaskId task) {
  auto found = held_.find(task);
  if (found == held_.end()) return;
  --found->second.worker->seen.leases;
  held_.erase(found);
}

const std::string* WorkerRegistry::TenantOf(model::TaskId task) const {
  auto found = held_.find(task);
  return found == held_.end() ? nullptr : &found->second.worker->tenant;
}

bool WorkerRegistry::SweepLeases(base::SteadyTime now, size_t most) {
  std::vector<model::TaskId> over;
  size_t end = std::min(bucket_ + most, held_.bucket_count());
  for (; bucket_ < end; ++bucket_) {
    for (auto held = held_.begin(bucket_); held != held_.end(bucket_); ++held) {
      if (held->second.until < now) over.push_back(held->first);
    }
  }
  for (model::TaskId task : over) Drop(task);
  if (bucket_ < held_.bucket_count()) return true;
  bucket_ = 0;
  return false;
}

void WorkerRegistry::SweepWorkers(base::SteadyTime now) {
  std::erase_if(workers_,
                [&](const auto& entry) { return entry.second->heard + limits_.silence < now; });
}

std::vector<wire::WorkerObject> WorkerRegistry::List(const std::string& tenant) const {
  std::vector<wire::WorkerObject> list;
  auto entry = workers_.lower_bound(std::pair(tenant, std::string()));
  for (; entry != workers_.end() && entry->first.first == tenant; ++entry) {
    list.push_back(entry->second->seen);
  }
  return list;
}

}  // namespace inferq::service
