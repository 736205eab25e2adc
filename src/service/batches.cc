#include "service/batches.h"

#include <algorithm>
#include <set>

#include "service/row_lines.h"
#include "wire/chat.h"

namespace inferq::service {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using model::BatchRecord;
using model::BatchStatus;
using model::FileRecord;

namespace {

constexpr uint64_t kLookAtOnce = 2'000;  // lines between two looks at the record
constexpr base::Micros kPause = 250ms;   // bounds how late an ending by the queue's timers is seen
constexpr size_t kKeysAtOnce = 1000;     // that one update takes off their records

std::unexpected<base::Error> NoSuchBatch(const std::string& id) {
  return base::Fail(Code::kNotFound, "No batch found with id '{}'.", id);
}

// "24h", "30m", "7d"; the configuration says which are taken.
std::optional<base::Micros> WindowOf(const std::string& text) {
  if (text.size() < 2) return std::nullopt;
  uint64_t number = 0;
  for (char c : std::string_view(text).substr(0, text.size() - 1)) {
    if (c < '0' || c > '9' || number > 100'000) return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  switch (text.back()) {
    case 'm':
      return std::chrono::minutes(number);
    case 'h':
      return std::chrono::hours(number);
    case 'd':
      return std::chrono::days(number);
    default:
      return std::nullopt;
  }
}

base::Error BadWindow(const std::string& window, const std::vector<std::string>& taken) {
  std::string known;
  for (const std::string& one : taken) known += (known.empty() ? "'" : ", '") + one + "'";
  return base::Error(
             Code::kInvalidArgument,
             fmt::format("Invalid value: '{}'. Supported values for completion_window are: {}.",
                         window, known))
      .WithParam("completion_window");
}

// What is fixed by the call.
BatchRecord RecordOf(const Caller& caller, NewBatch batch) {
  BatchRecord record;
  record.tenant = caller.tenant;
  record.endpoint = std::move(batch.endpoint);
  record.input_file_id = std::move(batch.input_file_id);
  record.rows = std::move(batch.rows);
  record.completion_window = std::move(batch.completion_window);
  record.metadata = std::move(batch.metadata);
  record.output_expires_after = batch.output_expires_after;
  record.traceparent = caller.traceparent;
  record.idempotency_key = std::move(batch.idempotency_key);
  record.content_hash = batch.content_hash;
  record.priority = batch.priority;
  record.deadline = batch.deadline;
  return record;
}

uint64_t CountOf(const queue::QueueStats& stats, model::State state) {
  return stats.by_state[static_cast<size_t>(state)];
}

uint64_t EndedOf(const queue::QueueStats& stats) {
  uint64_t ended = 0;
  for (int i = 0; i < model::kStateCount; ++i) {
    if (IsTerminal(static_cast<model::State>(i))) ended += stats.by_state[i];
  }
  return ended;
}

bool HasEnded(const queue::QueueStats& stats) { return EndedOf(stats) == stats.total(); }

queue::TaskFilter TasksOf(const BatchRecord& batch) {
  return {.tenant = {}, .batch = batch.number, .state = {}};
}

}  // namespace

Batches::Batches(BatchEnvironment environment)
    : env_(std::move(environment)),
      rate_(env_.options.batches.creations_per_hour),
      drivers_(env_.runtime) {}

void Batches::Adopt() {
  env_.catalog.ForEachBatch([this](const BatchRecord& batch) {
    rate_.Add(batch.tenant, batch.created);
    if (!batch.idempotency_key.empty()) keys_.Add(batch);
    if (IsTerminal(batch.status)) {
      if (batch.retry_blob != 0) env_.refs.Hold(batch.retry_blob);
      return;
    }
    if (batch.input_blob != 0) env_.refs.Hold(batch.input_blob);
    if (batch.index_blob != 0) env_.refs.Hold(batch.index_blob);
  });
}

void Batches::Resume() {
  env_.catalog.ForEachBatch([this](const BatchRecord& batch) {
    if (!IsTerminal(batch.status)) return Spawn(batch);
    if (env_.queue.Stats(TasksOf(batch)).total() > 0) drivers_.Spawn(Forget(batch.number));
  });
}

// Nobody asks the queue for lines of a batch whose files are written.
Awaitable<void> Batches::Forget(model::BatchId batch) {
  auto forgotten = co_await env_.queue.ForgetBatch(batch);
  if (!forgotten && !stopping_ && !env_.queue.healthy())
    env_.store_failed(std::move(forgotten).error());
}

Awaitable<void> Batches::Stop() {
  stopping_ = true;
  for (auto& [number, event] : moved_) event->NotifyAll();
  co_await drivers_.Join();
}

void Batches::Spawn(const BatchRecord& batch) {
  moved_[batch.number] = std::make_unique<runtime::Event>(env_.runtime);
  drivers_.Spawn(Drive(batch.id));
}

void Batches::TaskSettled(model::BatchId batch) {
  if (auto watched = progress_.find(batch); watched != progress_.end()) {
    queue::QueueStats stats = env_.queue.Stats({.tenant = {}, .batch = batch, .state = {}});
    watched->second.Observe(env_.runtime.clock().Steady(), EndedOf(stats));
  }
  if (auto found = moved_.find(batch); found != moved_.end()) found->second->NotifyAll();
}

void Batches::LineSucceeded(model::BatchId batch, uint64_t cost, base::Micros took) {
  if (auto watched = progress_.find(batch); watched != progress_.end())
    watched->second.Succeeded(cost, took);
}

// From now on its lines may run.
void Batches::Watch(const BatchRecord& batch) {
  auto [watched, is_new] = progress_.try_emplace(batch.number, batch.lines, batch.cost);
  watched->second.Observe(env_.runtime.clock().Steady(), EndedOf(env_.queue.Stats(TasksOf(batch))));
}

Awaitable<Result<BatchView>> Batches::Create(Caller caller, NewBatch batch) {
  auto window = WindowOf(batch.completion_window);
  const auto& taken = env_.options.windows;
  if (!window || std::ranges::find(taken, batch.completion_window) == taken.end()) {
    co_return std::unexpected(BadWindow(batch.completion_window, taken));
  }
  BatchRecord record = RecordOf(caller, std::move(batch));
  record.id = env_.ids.Make("batch_");
  record.created = env_.runtime.clock().Wall();
  record.expires = record.created + *window;
  std::string same;  // an earlier call's
  auto put = [this, &record, &same](catalog::Transaction& transaction) -> Result<> {
    INFERQ_ASSIGN(same, Add(transaction, record));
    return {};
  };
  if (auto updated = co_await env_.catalog.Update(std::move(put)); !updated) {
    env_.refs.Drop(record.input_blob);
    co_return std::unexpected(std::move(updated).error());
  }
  if (!same.empty()) co_return Get(caller, same);
  env_.observer.BatchMoved(record);
  if (!stopping_) Spawn(record);
  co_return ViewOf(record);
}

Result<std::string> Batches::Add(catalog::Transaction& transaction, BatchRecord& record) {
  INFERQ_ASSIGN(std::string same, FindSame(transaction, record));
  if (!same.empty()) return same;
  INFERQ_TRY(rate_.Check(record.tenant, record.created));
  const FileRecord* input = transaction.FindFile(record.input_file_id);
  // Without the file the batch fails in validation, as clients expect.
  bool readable = input != nullptr && input->tenant == record.tenant;
  if (readable && input->IsThere(record.created)) {
    record.input_blob = input->blob;
    env_.refs.Hold(record.input_blob);  // before a deletion that follows at once can drop it
  }
  record.sequence = transaction.NextSequence();
  record.number = model::BatchId{model::MakeTaskId(0, record.sequence).value};
  transaction.Put(record);
  // If the commit fails the store is opened anew, and what is remembered here with it.
  rate_.Add(record.tenant, record.created);
  if (!record.idempotency_key.empty()) keys_.Add(record);
  return std::string();
}

// The batch that the key stands for; "" is none.
Result<std::string> Batches::FindSame(const catalog::Transaction& transaction,
                                      const BatchRecord& record) const {
  if (record.idempotency_key.empty()) return std::string();
  const std::string* id = keys_.Find(record.tenant, record.idempotency_key, record.created);
  const BatchRecord* found = id == nullptr ? nullptr : transaction.FindBatch(*id);
  if (found == nullptr) return std::string();
  if (found->content_hash == record.content_hash) return found->id;
  return std::unexpected(
      base::Error(Code::kAlreadyExists,
                  fmt::format("The idempotency_key '{}' conflicts with an earlier request: {} was "
                              "created with it and other parameters.",
                              record.idempotency_key, found->id))
          .WithParam("idempotency_key"));
}

Awaitable<Result<>> Batches::ForgetOldKeys() {
  auto old = keys_.Expire(env_.runtime.clock().Wall(), kKeysAtOnce);
  if (old.empty()) co_return Result<>{};
  auto clear = [&old](catalog::Transaction& transaction) -> Result<> {
    for (const std::string& id : old) {
      const BatchRecord* found = transaction.FindBatch(id);
      if (found == nullptr) continue;
      BatchRecord batch = *found;
      batch.idempotency_key.clear();
      batch.content_hash = 0;
      transaction.Put(std::move(batch));
    }
    return {};
  };
  co_return co_await env_.catalog.Update(std::move(clear));
}

Result<BatchView> Batches::Get(const Caller& caller, const std::string& id) const {
  const BatchRecord* batch = env_.catalog.FindBatch(id);
  if (batch == nullptr || batch->tenant != caller.tenant) return NoSuchBatch(id);
  return ViewOf(*batch);
}

Result<catalog::Page<BatchView>> Batches::List(const Caller& caller, const std::string& after,
                                               uint32_t limit) const {
  catalog::ListRequest request{
      .tenant = caller.tenant, .after = after, .limit = limit, .purpose = {}, .now = {}};
  INFERQ_ASSIGN(auto page, env_.catalog.ListBatches(request));
  catalog::Page<BatchView> views{.records = {}, .has_more = page.has_more};
  for (const BatchRecord& batch : page.records) views.records.push_back(ViewOf(batch));
  return views;
}

BatchView Batches::ViewOf(const BatchRecord& batch) const {
  BatchView view{.record = batch, .total = batch.lines};
  if (IsTerminal(batch.status)) {
    view.succeeded = batch.succeeded;
    view.failed = batch.failed;
  } else if (batch.status != BatchStatus::kValidating) {
    queue::QueueStats stats = env_.queue.Stats(TasksOf(batch));
    view.succeeded = CountOf(stats, model::State::kSucceeded);
    view.failed = CountOf(stats, model::State::kFailed);
  }
  auto watched = progress_.find(batch.number);
  if (watched != progress_.end() && batch.status == BatchStatus::kInProgress && !batch.paused)
    view.left = watched->second.Estimate(env_.runtime.clock().Steady());
  return view;
}

Awaitable<Result<BatchView>> Batches::Cancel(Caller caller, std::string id) {
  INFERQ_CO_TRY(Get(caller, id));
  base::WallTime now = env_.runtime.clock().Wall();
  auto cancel = [&id, now](catalog::Transaction& transaction) -> Result<> {
    const BatchRecord* found = transaction.FindBatch(id);
    if (found == nullptr) return NoSuchBatch(id);
    if (found->status == BatchStatus::kCancelling || found->status == BatchStatus::kCancelled)
      return {};
    if (!CanMove(found->status, BatchStatus::kCancelling)) {
      return base::Fail(Code::kFailedPrecondition, "Cannot cancel a batch with status '{}'.",
                        BatchStatusName(found->status));
    }
    BatchRecord batch = *found;
    batch.status = BatchStatus::kCancelling;
    batch.cancelling = now;
    ++batch.version;
    transaction.Put(std::move(batch));
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(cancel)));
  INFERQ_CO_ASSIGN(BatchView view, Get(caller, id));
  if (view.record.cancelling == now) env_.observer.BatchMoved(view.record);
  TaskSettled(view.record.number);
  co_return view;
}

// Takes a batch from state to state until it has ended.
Awaitable<void> Batches::Drive(std::string id) {
  model::BatchId number;
  while (!stopping_) {
    const BatchRecord* batch = env_.catalog.FindBatch(id);
    if (batch == nullptr || IsTerminal(batch->status)) break;
    number = batch->number;
    auto advanced = co_await Advance(*batch);
    if (!advanced && !stopping_) {
      env_.store_failed(std::move(advanced).error());
      co_return;
    }
  }
  if (stopping_) co_return;
  moved_.erase(number);
  progress_.erase(number);
}

Awaitable<Result<>> Batches::Advance(BatchRecord batch) {
  switch (batch.status) {
    case BatchStatus::kValidating:
      return Validate(std::move(batch));
    case BatchStatus::kInProgress:
      return RunLines(std::move(batch));
    case BatchStatus::kCancelling:
      return CancelLines(std::move(batch));
    default:
      return Finalize(std::move(batch));
  }
}

bool Batches::StillIn(const std::string& id, BatchStatus status) const {
  if (stopping_) return false;
  const BatchRecord* batch = env_.catalog.FindBatch(id);
  return batch != nullptr && batch->status == status;
}

Awaitable<Result<bool>> Batches::Update(std::string id, BatchStatus from, Change change) {
  bool moved = false;
  auto update = [this, &id, from, &change, &moved](catalog::Transaction& transaction) -> Result<> {
    const BatchRecord* found = transaction.FindBatch(id);
    moved = found != nullptr && found->status == from;
    if (!moved) return {};
    BatchRecord batch = *found;
    INFERQ_TRY(change(transaction, batch));
    ++batch.version;
    if (IsTerminal(batch.status)) env_.webhooks.Record(batch);
    transaction.Put(std::move(batch));
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(update)));
  if (moved) {
    const BatchRecord& batch = *env_.catalog.FindBatch(id);
    env_.observer.BatchMoved(batch);
    env_.webhooks.Added(batch);
  }
  co_return moved;
}

Awaitable<Result<>> Batches::Validate(BatchRecord batch) {
  INFERQ_CO_ASSIGN(BatchSurvey survey, co_await SurveyInput(batch));
  if (!StillIn(batch.id, BatchStatus::kValidating)) {
    env_.refs.Drop(survey.input);
    co_return Result<>{};
  }
  if (survey.problems.empty()) {
    if (auto problem = OverTokenLimit(batch, survey)) survey.problems.push_back(*problem);
  }
  base::WallTime now = env_.runtime.clock().Wall();
  bool bad = !survey.problems.empty();
  Change change = [&survey, now, bad](catalog::Transaction&, BatchRecord& record) -> Result<> {
    record.status = bad ? BatchStatus::kFailed : BatchStatus::kInProgress;
    (bad ? record.failed_at : record.in_progress) = now;
    record.errors = std::move(survey.problems);
    record.model = bad ? "" : survey.model;
    record.lines = bad ? 0 : survey.lines;
    if (!bad) record.models = survey.models;
    if (!bad && survey.input != 0) record.input_blob = survey.input;
    record.index_blob = bad ? 0 : survey.index;
    record.blob_lines = survey.blob_lines;
    record.cost = bad ? 0 : survey.cost;
    record.prompt_tokens = bad ? 0 : survey.prompt_tokens;
    return {};
  };
  if (survey.index != 0) env_.refs.Hold(survey.index);
  auto moved = co_await Update(batch.id, BatchStatus::kValidating, std::move(change));
  INFERQ_CO_TRY(moved);  // else it may be recorded: the next start knows
  if (!*moved || bad) env_.refs.Drop(survey.index);
  if (!*moved || bad) env_.refs.Drop(survey.input);
  if (*moved && (bad || survey.input != 0)) env_.refs.Drop(batch.input_blob);
  co_return Result<>{};
}

// What waits and runs already on the models that the batch names, and the batch itself. Of two
// that are validated at the same instant, both may pass.
std::optional<model::BatchProblem> Batches::OverTokenLimit(const BatchRecord& batch,
                                                           const BatchSurvey& survey) const {
  uint64_t most = env_.options.batches.enqueued_tokens;
  if (most == 0) return std::nullopt;
  std::map<std::string, uint64_t> enqueued;
  for (const std::string& model : survey.models) enqueued[model] = survey.prompt_tokens;
  env_.catalog.ForEachBatch([&](const BatchRecord& other) {
    if (other.tenant != batch.tenant || IsTerminal(other.status)) return;
    for (const std::string& model : other.models) {
      auto found = enqueued.find(model);
      if (found != enqueued.end()) found->second += other.prompt_tokens;
    }
  });
  for (const auto& [model, tokens] : enqueued) {
    if (tokens <= most) continue;
    return model::BatchProblem{
        "token_limit_exceeded",
        fmt::format("Enqueued token limit reached for {} in organization {}. Limit: {} enqueued "
                    "tokens. Please try again once some in_progress batches have been completed.",
                    model, batch.tenant, most),
        "",
        {}};
  }
  return std::nullopt;
}

Awaitable<Result<BatchSurvey>> Batches::SurveyInput(BatchRecord batch) {
  bool has_rows = !batch.rows.format.empty() && batch.input_blob != 0;
  return has_rows ? SurveyRows(std::move(batch)) : Survey(std::move(batch));
}

// Makes lines of the rows, in a blob of the batch's own, and looks at those. A crash leaves the
// blob to the next start's sweep, and the rows are read again.
Awaitable<Result<BatchSurvey>> Batches::SurveyRows(BatchRecord batch) {
  BatchSurvey unread;
  if (!env_.offers_model(batch.rows.model)) {
    unread.problems.push_back(
        {"model_not_found",
         fmt::format("The provided model '{}' is not supported by the Batch API.",
                     batch.rows.model),
         "model",
         {}});
    co_return unread;
  }
  INFERQ_CO_ASSIGN(const blob::BlobId lines, co_await MakeLines(batch, &unread.problems));
  if (lines == 0) co_return unread;
  env_.refs.Hold(lines);
  batch.input_blob = lines;
  auto survey = co_await Survey(std::move(batch));
  if (survey && survey->index != 0) {
    survey->input = lines;
  } else {
    env_.refs.Drop(lines);
  }
  co_return survey;
}

// @return the blob with the lines; 0 when there are problems, or the batch is not wanted any more.
Awaitable<Result<blob::BlobId>> Batches::MakeLines(BatchRecord batch,
                                                   std::vector<model::BatchProblem>* problems) {
  auto open = [blobs = env_.blobs, blob = batch.input_blob, source = RowSource(batch),
               limits = RowLines::Limits{.lines = env_.options.max_lines,
                                         .problems = env_.options.max_problems}] {
    return RowLines::Open(blobs, blob, source, limits);
  };
  auto rows = co_await env_.runtime.RunBlocking(runtime::kAnyLane, std::move(open));
  Result<bool> more = true;
  while (rows && more && *more && StillIn(batch.id, BatchStatus::kValidating)) {
    auto step = [r = rows->get()] { return r->Step(kLookAtOnce); };
    more = co_await env_.runtime.RunBlocking(runtime::kAnyLane, step);
  }
  if (rows && more && !*more) {
    auto finish = [r = rows->get()] { return r->Finish(); };
    auto lines = co_await env_.runtime.RunBlocking(runtime::kAnyLane, finish);
    *problems = std::move((*rows)->problems());
    co_return lines;
  }
  if (rows) {
    auto abandon = [r = rows->get()] { return r->Abandon(); };
    INFERQ_CO_TRY(co_await env_.runtime.RunBlocking(runtime::kAnyLane, abandon));
    *problems = std::move((*rows)->problems());
  }
  base::Error error =
      rows ? (more ? base::Error(Code::kCancelled, "not wanted") : more.error()) : rows.error();
  bool is_clients = error.code() == Code::kInvalidArgument;
  if (!is_clients && error.code() != Code::kCancelled) co_return std::unexpected(std::move(error));
  if (is_clients) problems->push_back({"invalid_request", error.message(), error.param(), {}});
  co_return blob::BlobId{0};
}

// Any thread.
ImageRule Batches::RuleOfImages(const std::string& tenant) const {
  return [images = env_.images, tenant](std::span<const std::string> ids, uint64_t size) {
    return ImageProblem(*images, tenant, ids, size);
  };
}

// Reads the whole file, or as far as it is wanted.
Awaitable<Result<BatchSurvey>> Batches::Survey(BatchRecord batch) {
  BatchSurvey unread;
  if (batch.input_blob == 0) {
    unread.problems.push_back(
        {"invalid_request",
         fmt::format("Cannot find file {}, or organization {} does not have access to it.",
                     batch.input_file_id, batch.tenant),
         "file_id",
         {}});
    co_return unread;
  }
  auto open = [blobs = env_.blobs, blob = batch.input_blob,
               rules = BatchRules{.endpoint = *wire::ParseEndpoint(batch.endpoint),
                                  .offers_model = env_.offers_model,
                                  .image_problem = RuleOfImages(batch.tenant),
                                  .max_lines = env_.options.max_lines,
                                  .max_problems = env_.options.max_problems,
                                  .max_bytes = env_.options.batches.bytes,
                                  .max_inputs = env_.options.batches.inputs}] {
    return BatchValidator::Open(blobs, blob, rules);
  };
  auto validator = co_await env_.runtime.RunBlocking(runtime::kAnyLane, std::move(open));
  Result<bool> more = true;
  while (validator && more && *more && StillIn(batch.id, BatchStatus::kValidating)) {
    auto step = [v = validator->get()] { return v->Step(kLookAtOnce); };
    more = co_await env_.runtime.RunBlocking(runtime::kAnyLane, step);
  }
  if (validator && (!more || *more)) {
    auto abandon = [v = validator->get()] { return v->Abandon(); };
    INFERQ_CO_TRY(co_await env_.runtime.RunBlocking(runtime::kAnyLane, abandon));
  }
  if (validator && more) co_return (*validator)->survey();
  base::Error error = validator ? more.error() : validator.error();
  if (error.code() != Code::kInvalidArgument) co_return std::unexpected(std::move(error));
  if (validator) unread = (*validator)->survey();
  unread.problems.push_back({"invalid_request", error.message(), "", {}});
  co_return unread;
}

Awaitable<Result<>> Batches::RunLines(BatchRecord batch) {
  INFERQ_CO_TRY(co_await SubmitLines(batch));
  Watch(batch);
  INFERQ_CO_TRY(co_await AwaitTasks(batch));
  if (!StillIn(batch.id, BatchStatus::kInProgress)) co_return Result<>{};
  base::WallTime now = env_.runtime.clock().Wall();
  Change change = [now](catalog::Transaction&, BatchRecord& record) -> Result<> {
    record.status = BatchStatus::kFinalizing;
    record.finalizing = now;
    return {};
  };
  INFERQ_CO_TRY(co_await Update(batch.id, BatchStatus::kInProgress, std::move(change)));
  co_return Result<>{};
}

// Hands the lines to the queue, behind those that are tasks already. Ends early when the batch's
// time is over: the rest never gets there.
Awaitable<Result<>> Batches::SubmitLines(BatchRecord batch) {
  if (batch.index_blob == 0) {
    INFERQ_CO_TRY(co_await Index(batch));
    const BatchRecord* found = env_.catalog.FindBatch(batch.id);
    if (found == nullptr || found->index_blob == 0) co_return Result<>{};
    batch = *found;
  }
  queue::BatchPlan plan;
  plan.batch = batch.number;
  plan.tenant = batch.tenant;
  plan.lanes = batch.models;
  plan.first_line = env_.queue.Stats(TasksOf(batch)).total();
  plan.lines = batch.lines;
  plan.input_blob = batch.input_blob;
  plan.index_blob = batch.index_blob;
  plan.mean_cost = std::max<uint64_t>(1, batch.cost / std::max<uint64_t>(1, batch.lines));
  plan.expires_at = batch.expires;
  plan.max_attempts = env_.options.max_attempts;
  plan.traceparent = batch.traceparent;
  if (plan.first_line < plan.lines) INFERQ_CO_TRY(co_await SubmitWhenThereIsRoom(batch, plan));
  std::ranges::for_each(batch.models, env_.wake);
  co_return Result<>{};
}

// A full queue is waited for, as long as the batch is wanted.
Awaitable<Result<>> Batches::SubmitWhenThereIsRoom(BatchRecord batch, queue::BatchPlan plan) {
  // The queue takes no batch whose time is over.
  while (StillIn(batch.id, BatchStatus::kInProgress) &&
         env_.runtime.clock().Wall() < batch.expires) {
    const BatchRecord& newest = *env_.catalog.FindBatch(batch.id);
    if (newest.paused) {  // not given to the queue, it cannot start
      co_await Pause(batch.number);
      continue;
    }
    plan.priority = newest.priority;
    plan.deadline = newest.deadline;
    // One that has passed is due at once; the queue wants it in the future.
    if (plan.deadline) plan.deadline = std::max(*plan.deadline, env_.runtime.clock().Wall() + 1s);
    auto submitted = co_await env_.queue.SubmitBatch(plan);
    if (submitted) co_return Result<>{};
    bool full = submitted.error().code() == Code::kResourceExhausted && env_.queue.healthy();
    if (!full) co_return std::unexpected(std::move(submitted).error());
    co_await Pause(batch.number, submitted.error().retry_after());
  }
  co_return Result<>{};
}

// A batch of an earlier inferq has no index yet.
Awaitable<Result<>> Batches::Index(BatchRecord batch) {
  INFERQ_CO_ASSIGN(BatchSurvey survey, co_await Survey(batch));
  if (!StillIn(batch.id, BatchStatus::kInProgress)) co_return Result<>{};
  if (survey.index == 0 || survey.lines != batch.lines)
    co_return base::Fail(Code::kDataLoss, "the input of {} is not what it was", batch.id);
  Change change = [&survey](catalog::Transaction&, BatchRecord& record) -> Result<> {
    record.index_blob = survey.index;
    record.models = survey.models;
    record.cost = survey.cost;
    return {};
  };
  env_.refs.Hold(survey.index);
  INFERQ_CO_ASSIGN(bool moved,
                   co_await Update(batch.id, BatchStatus::kInProgress, std::move(change)));
  if (!moved) env_.refs.Drop(survey.index);
  co_return Result<>{};
}

Awaitable<Result<>> Batches::AwaitTasks(BatchRecord batch) {
  while (!stopping_ && !HasEnded(env_.queue.Stats(TasksOf(batch)))) {
    if (batch.status == BatchStatus::kInProgress && !StillIn(batch.id, batch.status)) break;
    co_await Pause(batch.number);
  }
  co_return Result<>{};
}

Awaitable<void> Batches::Pause(model::BatchId batch, base::Micros at_least) {
  base::Micros pause = std::max(kPause, at_least);
  co_await moved_[batch]->WaitUntil(env_.runtime.clock().Steady() + pause);
}

Awaitable<Result<>> Batches::CancelLines(BatchRecord batch) {
  INFERQ_CO_TRY(co_await env_.queue.CancelWhere(TasksOf(batch)));
  INFERQ_CO_TRY(co_await AwaitTasks(batch));
  if (stopping_) co_return Result<>{};
  co_return co_await Finalize(std::move(batch));
}

Awaitable<Result<>> Batches::Finalize(BatchRecord batch) {
  bool cancelled = batch.status == BatchStatus::kCancelling;
  BatchFiles files;
  if (batch.lines > 0) {
    BatchOutput output(env_.runtime, env_.blobs, env_.queue, batch,
                       cancelled ? model::State::kCancelled : model::State::kExpired,
                       [this] { return stopping_; });
    INFERQ_CO_ASSIGN(files, co_await output.Write());
  }
  base::WallTime now = env_.runtime.clock().Wall();
  auto add = [&](catalog::Transaction& transaction, const BatchFiles::File& file,
                 std::string_view kind) -> std::string {
    if (file.blob == 0) return "";
    FileRecord record{.id = env_.ids.Make("file-"),
                      .sequence = transaction.NextSequence(),
                      .tenant = batch.tenant,
                      .filename = fmt::format("{}_{}.jsonl", batch.id, kind),
                      .purpose = "batch_output",
                      .bytes = file.bytes,
                      .blob = file.blob,
                      .created = now,
                      .expires = {}};
    base::Micros lifetime = batch.output_expires_after.value_or(env_.options.file_lifetime);
    if (lifetime.count() > 0) record.expires = now + lifetime;
    std::string id = record.id;
    transaction.Put(std::move(record));
    return id;
  };
  Change change = [&](catalog::Transaction& transaction, BatchRecord& record) -> Result<> {
    record.output_file_id = add(transaction, files.output, "output");
    record.error_file_id = add(transaction, files.errors, "error");
    record.succeeded = files.succeeded;
    record.failed = files.failed;
    record.usage = files.usage;
    record.retry_lines = files.retry_lines;
    record.retry_blob = files.retry.blob;
    record.retry_bytes = files.retry.bytes;
    record.status = cancelled           ? BatchStatus::kCancelled
                    : files.expired > 0 ? BatchStatus::kExpired
                                        : BatchStatus::kCompleted;
    (cancelled ? record.cancelled : files.expired > 0 ? record.expired : record.completed) = now;
    return {};
  };
  INFERQ_CO_TRY(co_await Update(batch.id, batch.status, std::move(change)));
  if (files.output.blob != 0) env_.refs.Hold(files.output.blob);
  if (files.errors.blob != 0) env_.refs.Hold(files.errors.blob);
  if (files.retry.blob != 0) env_.refs.Hold(files.retry.blob);
  env_.refs.Drop(batch.input_blob);
  env_.refs.Drop(batch.index_blob);
  co_await Forget(batch.number);
  co_return Result<>{};
}

}  // namespace inferq::service
