#pragma once

#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/ids.h"

namespace inferq::queue {

/// Who waits for whom: for each parent the blocked tasks that name it, and how much they raise its
/// priority.
///
/// A child is listed under all of its parents, ended ones too (they may be requeued), from the time
/// it starts to wait until it stops.
class Dependents {
 public:
  void Add(model::TaskId child, std::span<const model::TaskId> parents);
  void Remove(model::TaskId child, std::span<const model::TaskId> parents);
  /// In order of id.
  std::vector<model::TaskId> ChildrenOf(model::TaskId parent) const;
  bool HasChildren(model::TaskId parent) const { return parents_.contains(parent); }
  /// The parents with an id in [first, last], in order. Looks at all that there are.
  std::vector<model::TaskId> ParentsIn(model::TaskId first, model::TaskId last) const;

  /// Points that waiting children add to the parent's priority, before the cap.
  int BoostOf(model::TaskId parent) const;
  void AddBoost(model::TaskId parent, int points);

 private:
  struct Parent {
    std::set<model::TaskId> children;
    int boost = 0;
  };
  std::unordered_map<model::TaskId, Parent> parents_;
};

}  // namespace inferq::queue
