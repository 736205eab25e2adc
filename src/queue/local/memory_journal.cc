#include "queue/local/memory_journal.h"

namespace inferq::queue {

using model::State;
using model::TaskId;

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
  for (const auto& row : changes.removed_lines) lines_.erase(row);
  for (const LineRow& row : changes.lines) {
    lines_.insert_or_assign({row.batch, row.finish_sequence}, row);
  }
  for (TaskId id : changes.removed_tasks) {
    specs_.erase(id);
    states_.erase(id);
    checkpoints_.erase(id);
    past_.erase(past_.lower_bound({id, 0}), past_.upper_bound({id, UINT32_MAX}));
  }
  for (const PastRow& row : changes.past) past_.insert_or_assign({row.id, row.generation}, row);
  for (const BatchRow& row : changes.batches) ApplyBatch(row);
  for (const PauseRow& row : changes.pauses) pauses_.insert(row);
  for (const PauseRow& row : changes.removed_pauses) pauses_.erase(row);
  ++commits_;
  return {};
}

void MemoryStore::ApplyBatch(const BatchRow& row) {
  model::BatchId batch = row.plan.batch;
  if (!row.forgotten) {
    batches_.insert_or_assign(batch, row);
    return;
  }
  batches_.erase(batch);
  lines_.erase(lines_.lower_bound({batch, 0}), lines_.upper_bound({batch, UINT64_MAX}));
}

std::vector<LineRow> MemoryStore::Lines(model::BatchId batch, uint64_t after,
                                        uint32_t limit) const {
  base::MutexLock lock(mu_);
  std::vector<LineRow> rows;
  for (auto it = lines_.upper_bound({batch, after});
       it != lines_.end() && it->first.first == batch && rows.size() < limit; ++it) {
    rows.push_back(it->second);
  }
  return rows;
}

std::optional<LineRow> MemoryStore::Line(model::BatchId batch, uint64_t line) const {
  base::MutexLock lock(mu_);
  for (auto it = lines_.lower_bound({batch, 0}); it != lines_.end() && it->first.first == batch;
       ++it) {
    if (it->second.line == line) return it->second;
  }
  return std::nullopt;
}

std::optional<PastRow> MemoryStore::Past(TaskId id, model::Generation generation) const {
  base::MutexLock lock(mu_);
  auto found = past_.find({id, generation});
  return found == past_.end() ? std::nullopt : std::optional(found->second);
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
  for (const auto& [batch, row] : batches_) visitor.on_batch(row);
  std::map<std::pair<model::BatchId, uint64_t>, State> ended;
  for (const auto& [name, row] : lines_) ended[{row.batch, row.line}] = row.state;
  for (auto [name, state] : ended) visitor.on_line(name.first, name.second, state);
  for (const PauseRow& row : pauses_) visitor.on_pause(row);
  for (const auto& [name, row] : past_) {
    if (visitor.on_past) visitor.on_past(row);
  }
}

class MemoryReader final : public JournalReader {
 public:
  explicit MemoryReader(std::shared_ptr<MemoryStore> store) : store_(std::move(store)) {}

  base::Result<std::vector<LineRow>> Lines(model::BatchId batch, uint64_t after,
                                           uint32_t limit) override {
    return store_->Lines(batch, after, limit);
  }
  base::Result<std::optional<LineRow>> Line(model::BatchId batch, uint64_t line) override {
    return store_->Line(batch, line);
  }
  base::Result<std::optional<PastRow>> Past(TaskId id, model::Generation generation) override {
    return store_->Past(id, generation);
  }

 private:
  std::shared_ptr<MemoryStore> store_;
};

class MemoryJournal final : public Journal {
 public:
  explicit MemoryJournal(std::shared_ptr<MemoryStore> store) : store_(std::move(store)) {}

  base::Result<> Open(const RecoveryVisitor& visitor) override {
    store_->Visit(visitor);
    return {};
  }
  base::Result<> Commit(const ChangeSet& changes) override { return store_->Apply(changes); }
  base::Result<bool> Maintain() override { return false; }
  base::Result<std::unique_ptr<JournalReader>> NewReader() override {
    return std::make_unique<MemoryReader>(store_);
  }
  base::Result<> Close() override { return {}; }

 private:
  std::shared_ptr<MemoryStore> store_;
};

std::unique_ptr<Journal> MakeMemoryJournal(std::shared_ptr<MemoryStore> store) {
  return std::make_unique<MemoryJournal>(std::move(store));
}

}  // namespace inferq::queue
