// What clients change of a batch that is there: pause, resume, edit, retry.

#include "service/batches.h"

namespace inferq::service {

using base::Code;
using base::Result;
using model::BatchRecord;
using model::BatchStatus;
using model::FileRecord;

namespace {

// Lines run, or will.
bool IsOpen(BatchStatus status) {
  return status == BatchStatus::kValidating || status == BatchStatus::kInProgress;
}

std::unexpected<base::Error> Cannot(std::string_view what, const BatchRecord& batch,
                                    std::string_view why = "") {
  return base::Fail(Code::kFailedPrecondition, "Cannot {} a batch with status '{}'{}.", what,
                    BatchStatusName(batch.status), why);
}

// The queue may not know the batch yet, or no longer.
Result<> IgnoreAbsent(Result<> told) {
  if (told || told.error().code() == Code::kNotFound ||
      told.error().code() == Code::kFailedPrecondition)
    return {};
  return told;
}

Result<> CheckRetry(const BatchRecord& batch) {
  if (!IsTerminal(batch.status)) return Cannot("retry", batch, ": it has not ended");
  if (batch.status == BatchStatus::kFailed) {
    return Cannot("retry", batch,
                  ": its file was refused and nothing was run; correct it and create a new batch");
  }
  if (batch.retry_lines == 0) {
    return base::Fail(Code::kFailedPrecondition,
                      "Batch '{}' has no failed or expired lines to run again.", batch.id);
  }
  if (batch.retry_blob != 0) return {};
  return base::Fail(
      Code::kFailedPrecondition,
      "The failed lines of batch '{}' are kept no longer: its error file was deleted.", batch.id);
}

}  // namespace

// First the record, which a client sees, then the queue; Readjust does what a crash left undone.
Awaitable<Result<>> Batches::Adjust(std::string id, std::string_view what, Adjustment adjustment) {
  auto change = [&](catalog::Transaction& transaction) -> Result<> {
    const BatchRecord* found = transaction.FindBatch(id);
    if (found == nullptr) return base::Fail(Code::kNotFound, "No batch found with id '{}'.", id);
    BatchRecord batch = *found;
    INFERQ_TRY(adjustment(batch));
    if (!IsOpen(batch.status)) return Cannot(what, batch);
    if (batch.version != found->version) transaction.Put(std::move(batch));
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(change)));
  // Also where nothing changed: an equal call may still be on its way.
  co_return co_await TellQueue(std::move(id));
}

// What the record says at the time of each call: another change may come between them.
Awaitable<Result<>> Batches::TellQueue(std::string id) {
  const BatchRecord* batch = env_.catalog.FindBatch(id);
  if (batch == nullptr) co_return Result<>{};
  model::BatchId number = batch->number;
  queue::PauseTarget target{.kind = queue::PauseTarget::Kind::kBatch, .name = {}, .batch = number};
  INFERQ_CO_TRY(IgnoreAbsent(co_await env_.queue.SetPaused(target, batch->paused)));
  TaskSettled(number);
  batch = env_.catalog.FindBatch(id);
  if (batch == nullptr) co_return Result<>{};
  queue::BatchEdit edit{.batch = number, .priority = batch->priority, .deadline = batch->deadline};
  co_return IgnoreAbsent(co_await env_.queue.EditBatch(edit));
}

Awaitable<Result<>> Batches::Readjust() {
  std::vector<std::string> adjusted;
  env_.catalog.ForEachBatch([&adjusted](const BatchRecord& batch) {
    if (batch.adjusted && IsOpen(batch.status)) adjusted.push_back(batch.id);
  });
  for (std::string& id : adjusted) INFERQ_CO_TRY(co_await TellQueue(std::move(id)));
  co_return Result<>{};
}

Awaitable<Result<BatchView>> Batches::SetPaused(Caller caller, std::string id, bool paused) {
  INFERQ_CO_TRY(Get(caller, id));
  Adjustment set = [paused](BatchRecord& batch) -> Result<> {
    if (batch.paused == paused) return {};
    batch.paused = paused;
    batch.adjusted = true;
    ++batch.version;
    return {};
  };
  INFERQ_CO_TRY(co_await Adjust(id, paused ? "pause" : "resume", std::move(set)));
  INFERQ_CO_ASSIGN(BatchView view, Get(caller, id));
  if (paused) co_return view;
  if (auto watched = progress_.find(view.record.number); watched != progress_.end())
    watched->second.Restart();
  if (progress_.contains(view.record.number)) Watch(view.record);
  for (const std::string& model : view.record.models) env_.wake(model);
  co_return view;
}

Awaitable<Result<BatchView>> Batches::Edit(Caller caller, BatchEdit edit) {
  INFERQ_CO_TRY(Get(caller, edit.id));
  Adjustment set = [&edit](BatchRecord& batch) -> Result<> {
    if (edit.if_version && *edit.if_version != batch.version) {
      return base::Fail(Code::kAborted, "The batch has version {}, not {}.", batch.version,
                        *edit.if_version);
    }
    if (edit.patch.priority) batch.priority = *edit.patch.priority;
    if (edit.patch.deadline) batch.deadline = *edit.patch.deadline;
    if (edit.patch.metadata) batch.metadata = *edit.patch.metadata;
    batch.adjusted = true;
    ++batch.version;
    return {};
  };
  INFERQ_CO_TRY(co_await Adjust(edit.id, "edit", std::move(set)));
  co_return Get(caller, edit.id);
}

Awaitable<Result<BatchView>> Batches::Retry(Caller caller, std::string id) {
  INFERQ_CO_TRY(Get(caller, id));
  BatchRecord retry;
  auto put = [this, &id, &retry, &caller](catalog::Transaction& transaction) -> Result<> {
    const BatchRecord* original = transaction.FindBatch(id);
    if (original == nullptr) return base::Fail(Code::kNotFound, "No batch found with id '{}'.", id);
    INFERQ_ASSIGN(retry, Resubmit(transaction, *original));
    retry.traceparent = caller.traceparent;
    transaction.Put(retry);
    return {};
  };
  if (auto updated = co_await env_.catalog.Update(std::move(put)); !updated) {
    env_.refs.Drop(retry.input_blob);  // of the file
    env_.refs.Drop(retry.input_blob);  // of the batch
    co_return std::unexpected(std::move(updated).error());
  }
  if (const FileRecord* input = env_.catalog.FindFile(retry.input_file_id))
    env_.observer.FileStored(caller, *input);
  env_.observer.BatchMoved(retry);
  if (!stopping_) Spawn(retry);
  co_return ViewOf(retry);
}

// The new batch and its file, which has the kept requests, and the link from the old batch.
Result<BatchRecord> Batches::Resubmit(catalog::Transaction& transaction,
                                      const BatchRecord& original) {
  INFERQ_TRY(CheckRetry(original));
  if (const BatchRecord* earlier = transaction.FindBatch(original.retried_by);
      earlier != nullptr && !IsTerminal(earlier->status)) {
    return base::Fail(Code::kFailedPrecondition, "Batch '{}' is being retried as '{}'.",
                      original.id, earlier->id);
  }
  base::WallTime now = env_.runtime.clock().Wall();
  FileRecord input{.id = env_.ids.Make("file-"),
                   .sequence = transaction.NextSequence(),
                   .tenant = original.tenant,
                   .filename = fmt::format("{}_retry.jsonl", original.id),
                   .purpose = "batch",
                   .bytes = original.retry_bytes,
                   .blob = original.retry_blob,
                   .created = now,
                   .expires = {}};
  const base::Micros lifetime = env_.options.file_lifetime;
  if (lifetime.count() > 0) input.expires = now + lifetime;
  BatchRecord retry;
  retry.id = env_.ids.Make("batch_");
  retry.sequence = transaction.NextSequence();
  retry.number = model::BatchId{model::MakeTaskId(0, retry.sequence).value};
  retry.tenant = original.tenant;
  retry.endpoint = original.endpoint;
  retry.input_file_id = input.id;
  retry.input_blob = input.blob;
  retry.completion_window = original.completion_window;
  retry.metadata = original.metadata;
  retry.output_expires_after = original.output_expires_after;
  retry.priority = original.priority;
  retry.retry_of = original.id;
  retry.created = now;
  retry.expires = now + (original.expires - original.created);
  BatchRecord linked = original;
  linked.retried_by = retry.id;
  ++linked.version;
  env_.refs.Hold(input.blob);
  env_.refs.Hold(input.blob);
  transaction.Put(std::move(input));
  transaction.Put(std::move(linked));
  return retry;
}

Awaitable<Result<>> Batches::ReleaseRetries() {
  std::vector<std::string> over;
  env_.catalog.ForEachBatch([&](const BatchRecord& batch) {
    const FileRecord* errors = env_.catalog.FindFile(batch.error_file_id);
    bool listed = errors != nullptr && !errors->removed;
    if (batch.retry_blob != 0 && !listed) over.push_back(batch.id);
  });
  for (const std::string& id : over) {
    uint64_t blob = 0;
    auto release = [&id, &blob](catalog::Transaction& transaction) -> Result<> {
      const BatchRecord* found = transaction.FindBatch(id);
      if (found == nullptr) return {};
      BatchRecord batch = *found;
      blob = std::exchange(batch.retry_blob, 0);
      transaction.Put(std::move(batch));
      return {};
    };
    INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(release)));
    env_.refs.Drop(blob);
  }
  co_return Result<>{};
}

}  // namespace inferq::service
