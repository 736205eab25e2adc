#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "model/batch.h"
#include "model/file.h"
#include "model/task.h"
#include "model/upload.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/batch_estimate.h"
#include "service/blob_limits.h"
#include "service/caller.h"
#include "service/observer.h"
#include "service/result_offset.h"
#include "service/webhook_types.h"
#include "wire/batch_extension.h"
#include "wire/task_create.h"
#include "wire/task_object.h"
#include "wire/webhook_object.h"
#include "wire/worker_answers.h"
#include "wire/worker_calls.h"

namespace inferq::service {

using runtime::Awaitable;

/// A model that the server offers: a lane of the queue and the engine that serves it.
struct ModelSpec {
  std::string name;       ///< As clients name it.
  std::string owner;      ///< For the list of models: "inferq" for local ones, a backend's address.
  std::string engine;     ///< For people: "llama models/a.gguf", "remote http://…", "fake".
  base::WallTime since;   ///< For the list of models.
  bool local = false;     ///< Request fields are checked by us; unknown ones are refused.
  uint32_t slots = 16;    ///< Tasks under way at once.
  uint32_t reserved = 1;  ///< Of these, kept for interactive ones; < slots, or 0.
  /// Makes the engine, on the strand; it is started when the first task asks for it.
  std::function<base::Result<std::unique_ptr<engine::Engine>>()> make_engine;
};

/// What external workers are granted.
struct WorkerLimits {
  uint32_t waiting_max = 1000;             ///< Claims of a tenant that wait; more are 429.
  uint64_t claim_bytes_max = 32ull << 20;  ///< Payloads of one claim; the rest stays queued.
  base::Micros look{1'000'000};            ///< How soon a client that hung up is noticed.
  size_t workers_max = 10'000;             ///< One more is served, but not listed.
  base::Micros silence{600'000'000};       ///< Then a worker is forgotten.
};

/// Bounds of batches beside their lines.
struct BatchLimits {
  uint64_t bytes = UINT64_MAX;      ///< Of the input file: else the batch fails.
  uint64_t inputs = UINT64_MAX;     ///< Embedding inputs of all lines: else the batch fails.
  uint64_t creations_per_hour = 0;  ///< Of a tenant; more are kResourceExhausted. 0: any.
  uint64_t enqueued_tokens = 0;     ///< Prompt tokens of a tenant's live batches on one model,
                                    ///< about: else the batch fails. 0: any.
};

/// Bounds of uploads in parts.
struct UploadLimits {
  uint32_t parts = 10'000;  ///< Of an upload.
  uint32_t pending = 1000;  ///< Of a tenant at once; more are kResourceExhausted.
  base::Micros lifetime{3'600'000'000};
};

struct ServiceOptions {
  std::string directory;  ///< Of the store; made with mode 0700.
  std::vector<ModelSpec> models;
  std::map<std::string, sched::TenantPolicy> tenants;
  uint64_t max_lines = 10'000'000;          ///< Of one batch.
  std::vector<std::string> windows{"24h"};  ///< Completion windows that are taken.
  uint32_t max_attempts = 3;                ///< Of one line.
  uint32_t max_problems = 1000;             ///< Bad lines that are listed for one batch.
  BatchLimits batches{};
  /// Of files for batches and their output files, where nobody says otherwise; 0: for ever.
  base::Micros file_lifetime{0};
  UploadLimits uploads{};
  base::Micros idle_unload{600'000'000};  ///< A local model without work is unloaded after this.
  uint64_t min_free_bytes = 64u << 20;    ///< Less room on the disk: nothing new is taken.
  base::Micros room_check{2'000'000};     ///< How often the room is looked at.
  WorkerLimits workers{};
  WebhookOptions webhooks{};
  BlobLimits blobs{};  ///< Of each tenant.
};

/// Makes the parts that differ between the real world and simulation.
struct ServiceEnvironment {
  runtime::Runtime& runtime;  ///< Its strand owns the service's state.
  base::FileSystem& files;
  std::function<std::unique_ptr<queue::Queue>(const std::string& journal_path,
                                              queue::ReadLines read_lines)>
      make_queue;
  std::function<std::unique_ptr<catalog::Catalog>(const std::string& path)> make_catalog;
  /// Bytes left on the disk of the store; any thread. Null: not looked at.
  std::function<base::Result<uint64_t>()> free_bytes;
  PostWebhook post_webhook{};  ///< Needed where there are endpoints.
  uint64_t seed = 1;           ///< Of ids.
  Observer* observer = &IgnoreEvents();
};

/// What a client says of a file it uploads.
struct NewFile {
  std::string filename;
  std::string purpose;
  std::optional<base::Micros> expires_after;
};

/// Bytes of a new file on their way to the disk. Not finished, it leaves nothing.
class Upload {
 public:
  virtual ~Upload() = default;
  /// Adds bytes. On any runtime; one call at a time. kResourceExhausted: the disk is full.
  virtual Awaitable<base::Result<>> Append(runtime::Runtime& here, std::string bytes) = 0;
  virtual uint64_t size() const = 0;
};

/// The bytes of a file; they stay readable while this exists, also when the file is deleted.
class Content {
 public:
  virtual ~Content() = default;
  virtual const model::FileRecord& file() const = 0;
  /// Exactly these bytes; offset + length <= file().bytes. On any runtime.
  virtual Awaitable<base::Result<std::string>> Read(runtime::Runtime& here, uint64_t offset,
                                                    uint64_t length) = 0;
};

/// A file that is to come in parts.
struct NewUpload {
  std::string filename;
  std::string purpose;
  std::string mime_type;
  uint64_t bytes = 0;
  std::optional<base::Micros> expires_after;  ///< Of the file.
};
struct UploadView {
  model::UploadRecord record;
  std::optional<model::FileRecord> file;  ///< Once completed, while it is there.
};
struct PartView {
  std::string id;
  std::string upload_id;
  base::WallTime created;
};
/// How a file is put together.
struct UploadCompletion {
  std::vector<std::string> part_ids;  ///< In the order of their bytes.
  std::string md5;                    ///< Of all of them, 32 hexadecimal digits; "": not checked.
};

struct FileList {
  std::string purpose;  ///< "": all.
  std::string after;
  uint32_t limit = 10'000;
  catalog::ListOrder order = catalog::ListOrder::kNewestFirst;
};

struct NewBatch {
  std::string input_file_id;
  model::RowInput rows{};         ///< Where the file holds rows.
  std::string endpoint;           ///< One that is supported (the gateway checks).
  std::string completion_window;  ///< kInvalidArgument, param completion_window, when not taken.
  std::vector<std::pair<std::string, std::string>> metadata;
  std::optional<base::Micros> output_expires_after;
  std::string idempotency_key{};             ///< "" is none.
  uint64_t content_hash = 0;                 ///< Of all parameters but the key.
  int priority = 0;                          ///< In bounds, as for tasks.
  std::optional<base::WallTime> deadline{};  ///< Of its lines.
};

/// A batch as clients see it now: the record, with the counts of lines that have ended so far.
struct BatchView {
  model::BatchRecord record;
  uint64_t total = 0;
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  std::optional<TimeLeft> left{};  ///< While its lines run, once something is known.
};

struct BatchEdit {
  std::string id;
  wire::BatchPatch patch;
  std::optional<model::Version> if_version;
};

/// A part of a batch's results, from an offset on.
struct ResultsRequest {
  std::string id;
  std::string after{};  ///< An offset; "": from the first line.
  uint32_t limit = 1000;
  ResultFilter filter = ResultFilter::kAll;
};
struct ResultLine {
  std::string text;  ///< As in the output or the error file, with its line end.
  std::string next;  ///< The offset behind it.
};
struct ResultsPage {
  std::vector<ResultLine> lines;
  std::string next;    ///< The offset behind them, and behind what was passed over.
  bool ended = false;  ///< The batch has ended, and nothing comes behind them.
  model::BatchStatus status = model::BatchStatus::kValidating;
};

/// A request that somebody waits for.
struct OnlineRequest {
  engine::Endpoint endpoint = engine::Endpoint::kChatCompletions;
  std::string body;   ///< JSON object.
  std::string model;  ///< kNotFound when it is not offered.
  bool stream = false;
  std::optional<base::SteadyTime> expires_at{};  ///< Then it ends with kDeadlineExceeded,
  bool until_begun = false;                      ///< but not once text has come.
  int priority = model::kMaxPriority;            ///< Among those that somebody waits for.
};

/// A running online request. Calls on the service's strand. When the last pointer to it is gone
/// (on any thread), or after Cancel, the work is dropped.
class Answer {
 public:
  virtual ~Answer() = default;
  /// As Generation::Next, with all of an answer that is not streamed in one Delta. Until the first
  /// text of a stream, and up to the end otherwise, an attempt may fail and be repeated unseen.
  virtual Awaitable<base::Result<engine::Delta>> Next() = 0;
  virtual void Cancel() = 0;
};

/// A task as clients see it now.
struct TaskView {
  model::TaskRecord record;
  std::string endpoint{};  ///< Of work for a model.
  std::string ending{};    ///< JSON of its result or error, as the state says; "" is none.
};

struct Submitted {
  std::vector<model::TaskId> ids;  ///< In the order of the call.
  std::optional<TaskView> task{};  ///< Where the call was for a single one.
};

struct TaskList {
  std::optional<model::State> status{};
  std::string kind{};   ///< "": all.
  std::string after{};  ///< Id of a task; "": from the first.
  uint32_t limit = 100;
};
struct TaskPage {
  std::vector<TaskView> tasks;
  bool has_more = false;
};

struct TaskEdit {
  std::string id;
  wire::TaskPatch patch;
  std::optional<model::Version> if_version;
};

/// A task that an external worker has claimed and begun.
struct ClaimedWork {
  queue::ClaimedTask task;
  std::string payload;  ///< JSON.
};
using HeldReply = std::pair<model::TaskId, wire::HeldState>;
struct Completed {
  std::vector<base::Result<>> outcomes;
  std::optional<base::Result<std::vector<ClaimedWork>>> claimed;  ///< Where it was asked for.
};

/// Turns true when the client has hung up; set on any thread. Null: nobody looks.
using HungUp = std::shared_ptr<const std::atomic<bool>>;

/// How the server is, for /readyz and people.
struct Health {
  bool ready = false;
  /// Why not, or what is degraded, a sentence each: "the disk is full: …", "draining".
  std::vector<std::string> reasons;
};

struct ModelView {
  std::string name;
  std::string owner;
  base::WallTime since;
  bool local = false;
};

/// What goes on, for metrics.
struct StationStats {
  struct Model {
    std::string name;
    bool local = false;
    bool loaded = false;
    uint32_t running = 0;
    uint64_t waiting = 0;
    uint32_t slots = 0;
    uint64_t micro_batches = 0;  ///< Since the store was opened, as the next.
    uint64_t micro_batched = 0;  ///< Inputs in them.
    uint64_t pauses = 0;         ///< See engine::Capacity, as the next.
    uint64_t kv_tokens = 0;
    uint64_t kv_used = 0;
  };
  queue::QueueStats queue;
  uint64_t online = 0;  ///< Online requests, waiting or running.
  std::vector<Model> models;
};

/// The use cases behind the gateway, over one store: files, batches, online requests. Everything
/// that runs a model goes through the queue.
///
/// Order: construct -> Run() -> Drain() -> Run returns -> destroy. Run opens the store, recovers,
/// and serves until drained; when the disk is full it closes the store, waits for room and opens it
/// again, and all calls fail with kUnavailable meanwhile. Calls on the strand of the environment's
/// runtime unless they say otherwise; every error is for the client.
class Service {
 public:
  Service(ServiceEnvironment environment, ServiceOptions options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// @return OK after Drain; else what made it impossible to go on (kFailedPrecondition: the store
  /// is in use or of a newer inferq; kDataLoss: damaged; kUnavailable: the disk fails).
  Awaitable<base::Result<>> Run();
  /// No new work from now on; what runs may finish until `deadline`, then it is handed back.
  void Drain(base::SteadyTime deadline);
  /// nullopt while the store is not open.
  std::optional<StationStats> stats() const;
  /// Any thread.
  Health health() const;
  runtime::Runtime& runtime();

  // Files. A tenant's own only: others' are kNotFound.

  Awaitable<base::Result<std::shared_ptr<Upload>>> BeginUpload(Caller caller);
  /// kInvalidArgument: an empty file, or one for batches that is no JSON lines (param "file").
  Awaitable<base::Result<model::FileRecord>> FinishUpload(Caller caller, NewFile file,
                                                          std::shared_ptr<Upload> upload);
  Awaitable<base::Result<model::FileRecord>> GetFile(Caller caller, std::string id);
  Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListFiles(Caller caller,
                                                                      FileList request);
  Awaitable<base::Result<>> DeleteFile(Caller caller, std::string id);
  Awaitable<base::Result<std::shared_ptr<Content>>> OpenContent(Caller caller, std::string id);

  // Uploads: files that come in parts. A tenant's own only. kFailedPrecondition: not pending.

  /// kResourceExhausted: too many are pending.
  Awaitable<base::Result<UploadView>> CreateUpload(Caller caller, NewUpload upload);
  /// `bytes` comes from BeginUpload. kInvalidArgument: empty, or more than the upload may have.
  Awaitable<base::Result<PartView>> FinishPart(Caller caller, std::string id,
                                               std::shared_ptr<Upload> bytes);
  /// Takes as long as the disk needs for the bytes. kInvalidArgument: an unknown part, another
  /// number of bytes, another sum, or FinishUpload's. The same call again has the same answer.
  Awaitable<base::Result<UploadView>> CompleteUpload(Caller caller, std::string id,
                                                     UploadCompletion call);
  Awaitable<base::Result<UploadView>> CancelUpload(Caller caller, std::string id);

  // Images that requests name. A tenant's own only.

  /// kInvalidArgument: no image. kResourceExhausted: as many as may be kept.
  Awaitable<base::Result<model::FileRecord>> PutBlob(Caller caller, std::string bytes);
  Awaitable<base::Result<model::FileRecord>> GetBlob(Caller caller, std::string id);
  Awaitable<base::Result<catalog::Page<model::FileRecord>>> ListBlobs(Caller caller,
                                                                      std::string after,
                                                                      uint32_t limit);
  /// kFailedPrecondition: a batch that lives may need it.
  Awaitable<base::Result<>> DeleteBlob(Caller caller, std::string id);

  // Batches. A tenant's own only.

  /// With the key of an earlier call: its batch, or kAlreadyExists when that had other parameters.
  /// kResourceExhausted: too many in an hour.
  Awaitable<base::Result<BatchView>> CreateBatch(Caller caller, NewBatch batch);
  Awaitable<base::Result<BatchView>> GetBatch(Caller caller, std::string id);
  Awaitable<base::Result<catalog::Page<BatchView>>> ListBatches(Caller caller, std::string after,
                                                                uint32_t limit);
  /// OK when it is being cancelled or is cancelled. kFailedPrecondition: ended otherwise.
  Awaitable<base::Result<BatchView>> CancelBatch(Caller caller, std::string id);

  /// Its running lines end, and none starts until it is resumed. OK when it is so already.
  /// kFailedPrecondition: its lines have all ended, or are about to.
  Awaitable<base::Result<BatchView>> PauseBatch(Caller caller, std::string id, bool paused);
  /// Also for lines that wait. kAborted: another version. kFailedPrecondition: as PauseBatch.
  Awaitable<base::Result<BatchView>> EditBatch(Caller caller, BatchEdit edit);
  /// Runs the lines that failed or expired again, as a new batch, which is returned.
  /// kFailedPrecondition: it has not ended, is being retried, or has no such lines (any more).
  Awaitable<base::Result<BatchView>> RetryBatch(Caller caller, std::string id);
  /// Also while it runs (batch_results.h).
  Awaitable<base::Result<ResultsPage>> ReadResults(Caller caller, ResultsRequest request);

  /// What was told of their ends, newest batches first.
  Awaitable<base::Result<catalog::Page<wire::DeliveryObject>>> ListDeliveries(Caller caller,
                                                                              std::string after,
                                                                              uint32_t limit);

  // Online requests.

  /// Any thread; never changes.
  const std::vector<ModelView>& models() const;
  /// kResourceExhausted: too many wait already. kNotFound: no such model, param "model".
  Awaitable<base::Result<std::shared_ptr<Answer>>> Generate(Caller caller, OnlineRequest request);

  // Tasks. A tenant's own only: others' are kNotFound.

  /// kNotFound: no such model. kAlreadyExists: same key, other content. kResourceExhausted: full.
  Awaitable<base::Result<Submitted>> SubmitTasks(Caller caller, wire::TaskCreate create);
  /// @param generation  an earlier one than the newest, to see how that ended.
  Awaitable<base::Result<TaskView>> GetTask(Caller caller, std::string id,
                                            std::optional<model::Generation> generation);
  /// Without results.
  Awaitable<base::Result<TaskPage>> ListTasks(Caller caller, TaskList request);
  Awaitable<base::Result<queue::Explanation>> ExplainTask(Caller caller, std::string id);
  /// kAborted: another version. kFailedPrecondition: it has ended.
  Awaitable<base::Result<TaskView>> EditTask(Caller caller, TaskEdit edit);
  /// OK when it is cancelled already. kFailedPrecondition: it ended otherwise.
  Awaitable<base::Result<TaskView>> CancelTask(Caller caller, std::string id);
  /// @return how many.
  Awaitable<base::Result<uint64_t>> CancelTasks(Caller caller, wire::TaskSelection chosen);
  /// kFailedPrecondition: it is live, a line of a batch, or a parent forbids it.
  Awaitable<base::Result<TaskView>> RequeueTask(Caller caller, std::string id);

  // External workers: claims of the tenant's own kinds. Items answer in order.

  /// Waits as long as the call says for a first task. kResourceExhausted: too many wait.
  Awaitable<base::Result<std::vector<ClaimedWork>>> ClaimTasks(Caller caller,
                                                               wire::WorkerClaim call, HungUp gone);
  Awaitable<base::Result<std::vector<HeldReply>>> RenewTasks(Caller caller, wire::RenewCall call);
  Awaitable<base::Result<std::vector<HeldReply>>> Heartbeat(Caller caller,
                                                            wire::HeartbeatCall call);
  Awaitable<base::Result<Completed>> CompleteTasks(Caller caller, wire::CompleteCall call,
                                                   HungUp gone);
  Awaitable<base::Result<std::vector<base::Result<>>>> FailTasks(Caller caller,
                                                                 wire::FailCall call);
  Awaitable<base::Result<std::vector<base::Result<>>>> ReleaseTasks(Caller caller,
                                                                    wire::ReleaseCall call);
  /// Those that were heard of lately.
  Awaitable<base::Result<std::vector<wire::WorkerObject>>> ListWorkers(Caller caller);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferq::service
