#include "queue/local/idempotency.h"

namespace inferq::queue {

std::string IdempotencyKeys::NameOf(std::string_view tenant, std::string_view key) {
  std::string name;
  name.reserve(tenant.size() + 1 + key.size());
  name.append(tenant).push_back('\0');
  name.append(key);
  return name;
}

const IdempotencyKeys::Holder* IdempotencyKeys::Find(std::string_view tenant, std::string_view key,
                                                     base::WallTime now) const {
  auto found = holders_.find(NameOf(tenant, key));
  if (found == holders_.end() || now - found->second.created >= ttl_) return nullptr;
  return &found->second;
}

void IdempotencyKeys::Add(const KeyRow& row) {
  std::string name = NameOf(row.tenant, row.key);
  holders_.insert_or_assign(name, Holder{row.id, row.content_hash, row.created});
  by_age_.push_back({row.created, std::move(name)});
}

std::vector<std::pair<std::string, std::string>> IdempotencyKeys::Expire(base::WallTime now,
                                                                         size_t limit) {
  std::vector<std::pair<std::string, std::string>> expired;
  while (!by_age_.empty() && expired.size() < limit && now - by_age_.front().created >= ttl_) {
    Aged aged = std::move(by_age_.front());
    by_age_.pop_front();
    auto found = holders_.find(aged.name);
    // A key that was taken anew since has a younger entry behind this one.
    if (found == holders_.end() || found->second.created != aged.created) continue;
    holders_.erase(found);
    size_t split = aged.name.find('\0');
    expired.emplace_back(aged.name.substr(0, split), aged.name.substr(split + 1));
  }
  return expired;
}

}  // namespace inferq::queue
