#include "queue/local/memory_journal.h"

namespace inferq::queue {

void MemoryStore::FailCommits(std::optional<base::Error> error) {
  base::MutexLock lock(mu_);
  failure_ = std::move(error);
}

uint64_t MemoryStore::commits() const {
  base::MutexLock lock(mu_);
  return commits_;
}

size_t MemoryStore::tasks() const {
  base::MutexLock lock(mu_);
  return specs_.size();
}

base::Result<> MemoryStore::Apply(const ChangeSet& changes) {
  base::MutexLock lock(mu_);
  if (failure_) return std::unexpected(*failure_);
  for (const SpecRow& row : changes.specs) specs_.insert_or_assign(row.id, row);
  for (const StateRow& row : changes.states) states_.insert_or_assign(row.id, row);
  for (const CheckpointRow& row : changes.checkpoints) {
    if (row.bytes.empty()) {
      checkpoints_.erase(row.id);
    } else {
      checkpoints_.insert_or_assign(row.id, row.bytes);
    }
  }
  for (const auto& key : changes.removed_keys) keys_.erase(key);
  for (const KeyRow& row : changes.keys) keys_.insert_or_assign({row.tenant, row.key}, row);
  for (const TenantTime& row : changes.tenant_times) tenant_times_[row.tenant] = row.virtual_time;
  if (changes.meta) meta_ = changes.meta;
  ++commits_;
  return {};
}

void MemoryStore::Visit(const RecoveryVisitor& visitor) const {
  base::MutexLock lock(mu_);
  if (meta_) visitor.on_meta(*meta_);
  for (const auto& [tenant, time] : tenant_times_) visitor.on_tenant_time({tenant, time});
  for (const auto& [id, spec] : specs_) {
    auto checkpoint = checkpoints_.find(id);
    visitor.on_task(spec, states_.at(id),
                    checkpoint == checkpoints_.end() ? std::string() : checkpoint->second);
  }
  std::multimap<base::WallTime, KeyRow> by_age;
  for (const auto& [name, row] : keys_) by_age.emplace(row.created, row);
  for (auto& [created, row] : by_age) visitor.on_key(std::move(row));
}

class MemoryJournal final : public Journal {
 public:
  explicit MemoryJournal(std::shared_ptr<MemoryStore> store) : store_(std::move(store)) {}

  base::Result<> Open(const RecoveryVisitor& visitor) override {
    store_->Visit(visitor);
    return {};
  }
  base::Result<> Commit(const ChangeSet& changes) override { return store_->Apply(changes); }
  base::Result<> Close() override { return {}; }

 private:
  std::shared_ptr<MemoryStore> store_;
};

std::unique_ptr<Journal> MakeMemoryJournal(std::shared_ptr<MemoryStore> store) {
  return std::make_unique<MemoryJournal>(std::move(store));
}

}  // namespace inferq::queue
