#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "model/batch.h"

namespace inferq::service {

/// Finds the batch that stands for a tenant's idempotency key, for a day after its creation. The
/// batches' records hold the keys; what is here is as much as was made in that day. On the strand.
class BatchKeys {
 public:
  static constexpr base::Micros kLifetime = std::chrono::hours(24);

  /// nullptr: the key is free.
  const std::string* Find(const std::string& tenant, const std::string& key,
                          base::WallTime now) const;
  /// Of a batch that has one. In order of creation.
  void Add(const model::BatchRecord& batch);
  /// Forgets up to `limit` keys that are too old. @return the ids of their batches.
  std::vector<std::string> Expire(base::WallTime now, size_t limit);

 private:
  struct Holder {
    std::string batch;
    base::WallTime created;
  };
  struct Aged {
    base::WallTime created;
    std::string name;
    std::string batch;
  };

  std::unordered_map<std::string, Holder> holders_;  // by tenant, NUL, key
  std::deque<Aged> by_age_;
};

}  // namespace inferq::service
