#pragma once

#include <optional>
#include <set>
#include <utility>

#include "model/ids.h"

namespace inferq::queue {

/// Tasks by the time at which something is due.
template <class Time>
class DueSet {
 public:
  void Add(Time when, model::TaskId id) { due_.emplace(when, id); }
  void Remove(Time when, model::TaskId id) { due_.erase({when, id}); }
  std::optional<Time> Earliest() const {
    return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
  }
  /// Takes out the first task that is due at `now`, or 0.
  model::TaskId PopDue(Time now) {
    if (due_.empty() || due_.begin()->first > now) return {};
    return due_.extract(due_.begin()).value().second;
  }

 private:
  std::set<std::pair<Time, model::TaskId>> due_;
};

}  // namespace inferq::queue
