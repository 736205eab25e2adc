#include "service/batch_keys.h"

namespace inferq::service {
namespace {

std::string NameOf(const std::string& tenant, const std::string& key) {
  return tenant + '\0' + key;
}

}  // namespace

const std::string* BatchKeys::Find(const std::string& tenant, const std::string& key,
                                   base::WallTime now) const {
  auto found = holders_.find(NameOf(tenant, key));
  if (found == holders_.end() || now - found->second.created >= kLifetime) return nullptr;
  return &found->second.batch;
}

void BatchKeys::Add(const model::BatchRecord& batch) {
  std::string name = NameOf(batch.tenant, batch.idempotency_key);
  holders_.insert_or_assign(name, Holder{batch.id, batch.created});
  by_age_.push_back({batch.created, std::move(name), batch.id});
}

std::vector<std::string> BatchKeys::Expire(base::WallTime now, size_t limit) {
  std::vector<std::string> batches;
  while (!by_age_.empty() && batches.size() < limit && now - by_age_.front().created >= kLifetime) {
    Aged aged = std::move(by_age_.front());
    by_age_.pop_front();
    // A key that was taken anew since is another batch's.
    auto found = holders_.find(aged.name);
    if (found != holders_.end() && found->second.batch == aged.batch) holders_.erase(found);
    batches.push_back(std::move(aged.batch));
  }
  return batches;
}

}  // namespace inferq::service
