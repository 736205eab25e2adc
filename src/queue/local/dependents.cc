#include "queue/local/dependents.h"

#include <algorithm>

namespace inferq::queue {

using model::TaskId;

void Dependents::Add(TaskId child, std::span<const TaskId> parents) {
  for (TaskId parent : parents) parents_[parent].children.insert(child);
}

void Dependents::Remove(TaskId child, std::span<const TaskId> parents) {
  for (TaskId parent : parents) {
    auto found = parents_.find(parent);
    if (found == parents_.end()) continue;
    found->second.children.erase(child);
    if (found->second.children.empty()) parents_.erase(found);
  }
}

std::vector<TaskId> Dependents::ChildrenOf(TaskId parent) const {
  auto found = parents_.find(parent);
  if (found == parents_.end()) return {};
  return {found->second.children.begin(), found->second.children.end()};
}

std::vector<TaskId> Dependents::ParentsIn(TaskId first, TaskId last) const {
  std::vector<TaskId> parents;
  for (const auto& [id, parent] : parents_) {
    if (id >= first && id <= last) parents.push_back(id);
  }
  std::ranges::sort(parents);
  return parents;
}

int Dependents::BoostOf(TaskId parent) const {
  auto found = parents_.find(parent);
  return found == parents_.end() ? 0 : found->second.boost;
}

void Dependents::AddBoost(TaskId parent, int points) {
  auto found = parents_.find(parent);
  if (found != parents_.end()) found->second.boost += points;
}

}  // namespace inferq::queue
