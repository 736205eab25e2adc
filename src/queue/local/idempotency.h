#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "queue/local/journal.h"

namespace inferq::queue {

/// Which task stands for a tenant's idempotency key, for `ttl` after its submission.
class IdempotencyKeys {
 public:
  struct Holder {
    model::TaskId id;
    uint64_t content_hash = 0;
    base::WallTime created;
  };

  explicit IdempotencyKeys(base::Micros ttl) : ttl_(ttl) {}

  /// nullptr: the key is free at `now`.
  const Holder* Find(std::string_view tenant, std::string_view key, base::WallTime now) const;
  /// Takes a free key. Rows come in order of creation when they are recovered.
  void Add(const KeyRow& row);
  /// Forgets up to `limit` keys that are too old. @return their tenants and keys.
  std::vector<std::pair<std::string, std::string>> Expire(base::WallTime now, size_t limit);
  size_t size() const { return holders_.size(); }

 private:
  struct Aged {
    base::WallTime created;
    std::string name;
  };
  static std::string NameOf(std::string_view tenant, std::string_view key);

  base::Micros ttl_;
  std::unordered_map<std::string, Holder> holders_;  // by tenant, NUL, key
  std::deque<Aged> by_age_;
};

}  // namespace inferq::queue
