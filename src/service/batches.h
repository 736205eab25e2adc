#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "queue/queue.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/batch_estimate.h"
#include "service/batch_keys.h"
#include "service/batch_lines.h"
#include "service/batch_output.h"
#include "service/blob_refs.h"
#include "service/creation_rate.h"
#include "service/ids.h"
#include "service/image_index.h"
#include "service/service.h"
#include "service/webhooks.h"

namespace inferq::service {

/// What the batches need of the rest.
struct BatchEnvironment {
  runtime::Runtime& runtime;
  catalog::Catalog& catalog;
  queue::Queue& queue;
  std::shared_ptr<blob::BlobStore> blobs;
  BlobRefs& refs;
  IdMaker& ids;
  Webhooks& webhooks;
  std::shared_ptr<const ImageIndex> images;
  const ServiceOptions& options;
  Observer& observer;
  std::function<bool(const std::string& model)> offers_model;  ///< Any thread.
  std::function<void(const std::string& model)> wake;          ///< There is work for it.
  std::function<void(base::Error)> store_failed;               ///< Nothing can go on.
};

/// The batches of all tenants, each driven through its states by a coroutine of its own. A state is
/// left only by a durable update of its record, and what is done in a state can be done again: so a
/// batch goes on after any crash where its record says.
///
///   kValidating  reads all lines            -> kInProgress (with their number) or kFailed
///   kInProgress  hands its lines to the queue; waits until all ended
///   kCancelling  cancels those that live; waits until all ended
///   then         writes the files, seals them, names them in the record (one update), and lets
///                the queue forget its lines
///
/// On the strand. Order: Resume -> calls -> Stop.
class Batches {
 public:
  explicit Batches(BatchEnvironment environment);

  /// Takes hold of the blobs of live batches and of what may be retried, and learns of keys and of
  /// the last hour.
  void Adopt();
  /// Tells the queue again what clients changed of live batches: a crash may have come between
  /// their record and the queue's. Before anything is claimed.
  Awaitable<base::Result<>> Readjust();
  /// Goes on with every batch that has not ended.
  void Resume();
  /// Ends the coroutines; batches stay where they are.
  Awaitable<void> Stop();

  Awaitable<base::Result<BatchView>> Create(Caller caller, NewBatch batch);
  base::Result<BatchView> Get(const Caller& caller, const std::string& id) const;
  base::Result<catalog::Page<BatchView>> List(const Caller& caller, const std::string& after,
                                              uint32_t limit) const;
  Awaitable<base::Result<BatchView>> Cancel(Caller caller, std::string id);

  /// Lets go of idempotency keys that are too old.
  Awaitable<base::Result<>> ForgetOldKeys();
  // batch_edits.cc; errors as in service.h.

  Awaitable<base::Result<BatchView>> SetPaused(Caller caller, std::string id, bool paused);
  Awaitable<base::Result<BatchView>> Edit(Caller caller, BatchEdit edit);
  Awaitable<base::Result<BatchView>> Retry(Caller caller, std::string id);
  /// What could be retried is kept as long as the error file that names it.
  Awaitable<base::Result<>> ReleaseRetries();

  /// A task of a batch has ended, or waits again.
  void TaskSettled(model::BatchId batch);
  /// A line has got its answer; TaskSettled follows.
  void LineSucceeded(model::BatchId batch, uint64_t cost, base::Micros took);

 private:
  using Change = std::function<base::Result<>(catalog::Transaction&, model::BatchRecord&)>;

  /// Adds the batch, unless its key stands for another: that one's id then, else "".
  base::Result<std::string> Add(catalog::Transaction& transaction, model::BatchRecord& record);
  base::Result<std::string> FindSame(const catalog::Transaction& transaction,
                                     const model::BatchRecord& record) const;
  void Spawn(const model::BatchRecord& batch);
  Awaitable<void> Drive(std::string id);
  Awaitable<base::Result<>> Advance(model::BatchRecord batch);
  Awaitable<base::Result<>> Validate(model::BatchRecord batch);
  Awaitable<base::Result<BatchSurvey>> SurveyInput(model::BatchRecord batch);
  Awaitable<base::Result<BatchSurvey>> SurveyRows(model::BatchRecord batch);
  Awaitable<base::Result<blob::BlobId>> MakeLines(model::BatchRecord batch,
                                                  std::vector<model::BatchProblem>* problems);
  Awaitable<base::Result<BatchSurvey>> Survey(model::BatchRecord batch);
  std::optional<model::BatchProblem> OverTokenLimit(const model::BatchRecord& batch,
                                                    const BatchSurvey& survey) const;
  ImageRule RuleOfImages(const std::string& tenant) const;
  Awaitable<base::Result<>> RunLines(model::BatchRecord batch);
  Awaitable<base::Result<>> SubmitLines(model::BatchRecord batch);
  Awaitable<base::Result<>> SubmitWhenThereIsRoom(model::BatchRecord batch, queue::BatchPlan plan);
  Awaitable<base::Result<>> Index(model::BatchRecord batch);
  Awaitable<void> Forget(model::BatchId batch);
  Awaitable<base::Result<>> AwaitTasks(model::BatchRecord batch);
  Awaitable<base::Result<>> CancelLines(model::BatchRecord batch);
  Awaitable<base::Result<>> Finalize(model::BatchRecord batch);
  /// Moves a batch that still has the status `from`. @return whether it had.
  Awaitable<base::Result<bool>> Update(std::string id, model::BatchStatus from, Change change);
  bool StillIn(const std::string& id, model::BatchStatus status) const;
  BatchView ViewOf(const model::BatchRecord& batch) const;
  /// A change that a client asks for, of a batch whose lines run or will.
  using Adjustment = std::function<base::Result<>(model::BatchRecord&)>;
  Awaitable<base::Result<>> Adjust(std::string id, std::string_view what, Adjustment adjustment);
  Awaitable<base::Result<>> TellQueue(std::string id);
  base::Result<model::BatchRecord> Resubmit(catalog::Transaction& transaction,
                                            const model::BatchRecord& original);
  void Watch(const model::BatchRecord& batch);
  Awaitable<void> Pause(model::BatchId batch, base::Micros at_least = base::Micros(0));

  BatchEnvironment env_;
  BatchKeys keys_;
  CreationRate rate_;
  runtime::Scope drivers_;
  std::map<model::BatchId, std::unique_ptr<runtime::Event>> moved_;  // of live batches
  std::map<model::BatchId, BatchProgress> progress_;                 // of those whose lines run
  bool stopping_ = false;
};

}  // namespace inferq::service
