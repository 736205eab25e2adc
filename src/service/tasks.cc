#include "service/tasks.h"

#include <algorithm>
#include <charconv>

#include "service/answer_line.h"
#include "service/extents.h"
#include "service/lane.h"
#include "wire/task_create.h"
#include "wire/task_object.h"

namespace inferq::service {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using model::TaskId;
using model::TaskRecord;
using model::TaskSpec;

namespace {

constexpr base::Micros kFullFor = 1s;  // no longer than that is a refusal repeated unasked

std::unexpected<base::Error> NoSuchTask(const std::string& id) {
  return base::Fail(Code::kNotFound, "No such task: {}", id.substr(0, 100));
}

std::string ParamOf(const wire::TaskCreate& create, size_t index, std::string_view field) {
  return create.single ? std::string(field) : fmt::format("tasks[{}].{}", index, field);
}

/// The queue says "task 3: …" and the field; a client wants "tasks[3].field".
base::Error NameTask(base::Error error, bool single) {
  constexpr std::string_view kTask = "task ";
  std::string_view message = error.message();
  if (!message.starts_with(kTask)) return error;
  size_t index = 0;
  const char* begin = message.data() + kTask.size();
  const char* end = message.data() + message.size();
  auto [stop, failed] = std::from_chars(begin, end, index);
  if (failed != std::errc{} || stop == end || *stop != ':') return error;
  std::string rest(message.substr(
      std::min<size_t>(static_cast<size_t>(stop - message.data()) + 2, message.size())));
  std::string param = error.param();
  if (!single) param = fmt::format("tasks[{}]{}{}", index, param.empty() ? "" : ".", param);
  std::string text = single ? rest : std::string(message);
  return base::Error(error.code(), std::move(text))
      .WithParam(std::move(param))
      .WithRetryAfter(error.retry_after());
}

/// Where the endpoint of a model's task is written; nothing of others'.
model::Extent EndpointOf(const TaskRecord& record) {
  if (!KindOf(record.spec.lane).empty() || record.spec.batch) return {};
  model::Extent head = record.spec.payload;
  head.length = std::min<uint64_t>(head.length, wire::kEndpointBytes);
  return head;
}

}  // namespace

Awaitable<Result<Submitted>> Tasks::Submit(Caller caller, wire::TaskCreate create) {
  INFERQ_CO_TRY(CheckFull(create.tasks.size()));
  INFERQ_CO_ASSIGN(auto specs, SpecsOf(caller, create));
  INFERQ_CO_ASSIGN(model::Extent stored, co_await env_.requests.Append(std::move(create.payloads)));
  for (TaskSpec& spec : specs) {
    spec.payload.blob = stored.blob;
    spec.payload.offset += stored.offset;
  }
  size_t count = specs.size();
  auto ids = co_await Enqueue(std::move(specs));
  env_.requests.Recorded(stored);
  if (!ids) co_return std::unexpected(NameTask(std::move(ids).error(), create.single));
  for (const wire::NewTask& task : create.tasks) {
    if (!task.model.empty()) env_.wake(task.model);
  }
  env_.observer.TasksSubmitted(caller, count);
  Submitted submitted{.ids = *std::move(ids)};
  if (create.single) {
    INFERQ_CO_ASSIGN(TaskRecord record, co_await env_.queue.Get(submitted.ids.front()));
    INFERQ_CO_ASSIGN(submitted.task, co_await ViewOf(std::move(record)));
  }
  co_return submitted;
}

Awaitable<Result<std::vector<TaskId>>> Tasks::Enqueue(std::vector<TaskSpec> specs) {
  size_t count = specs.size();
  auto ids = co_await env_.queue.Submit(std::move(specs));
  if (!ids && ids.error().code() == Code::kResourceExhausted) {
    full_ = Full{count, ids.error(), env_.runtime.clock().Steady() + kFullFor};
  }
  co_return ids;
}

// A full queue is asked about before bytes are stored for it: else refused clients that try again
// fill the disk.
Result<> Tasks::CheckFull(size_t count) const {
  if (!full_ || count < full_->count || env_.runtime.clock().Steady() >= full_->until) return {};
  return std::unexpected(full_->error);
}

Result<std::vector<TaskSpec>> Tasks::SpecsOf(const Caller& caller, wire::TaskCreate& create) const {
  std::vector<TaskSpec> specs;
  specs.reserve(create.tasks.size());
  for (size_t i = 0; i < create.tasks.size(); ++i) {
    wire::NewTask& task = create.tasks[i];
    if (!task.model.empty() && !env_.offers_model(task.model)) {
      return std::unexpected(
          base::Error(Code::kNotFound,
                      fmt::format("The model '{}' does not exist or you do not have access to it.",
                                  task.model))
              .WithParam(ParamOf(create, i, "body.model")));
    }
    TaskSpec& spec = specs.emplace_back(std::move(task.spec));
    spec.tenant = caller.tenant;
    spec.lane = task.model.empty() ? KindLane(caller.tenant, task.kind) : task.model;
    spec.traceparent = caller.traceparent;
    spec.parents.reserve(task.parents.size());
    for (const wire::TaskParent& parent : task.parents) {
      bool forged = parent.id && queue::IndexInThisCall(parent.id);
      if (forged || (parent.index && *parent.index >= create.tasks.size())) {
        return std::unexpected(
            base::Error(Code::kInvalidArgument, "A parent is not a task of yours or of this call.")
                .WithParam(ParamOf(create, i, "parents")));
      }
      spec.parents.push_back(parent.index ? queue::InThisCall(*parent.index) : parent.id);
    }
  }
  return specs;
}

Awaitable<Result<TaskRecord>> Tasks::Own(Caller caller, std::string id) {
  auto number = model::ParseTaskId(id);
  if (!number || queue::IsEphemeral(*number)) co_return NoSuchTask(id);
  auto record = co_await env_.queue.Get(*number);
  if (record && record->spec.tenant != caller.tenant) co_return NoSuchTask(id);
  if (!record && record.error().code() == Code::kNotFound) co_return NoSuchTask(id);
  co_return record;
}

Awaitable<Result<TaskView>> Tasks::Get(Caller caller, std::string id,
                                       std::optional<model::Generation> generation) {
  INFERQ_CO_ASSIGN(TaskRecord record, co_await Own(std::move(caller), std::move(id)));
  if (generation && *generation != record.generation) {
    TaskId task = record.id;
    INFERQ_CO_ASSIGN(record.outcome, co_await env_.queue.GetPast(task, *generation));
    bool succeeded = record.outcome.message.empty() && record.outcome.result.length > 0;
    record.state = succeeded ? model::State::kSucceeded : model::State::kFailed;
    record.generation = *generation;
    record.lease.reset();
  }
  co_return co_await ViewOf(std::move(record));
}

Awaitable<Result<TaskView>> Tasks::ViewOf(TaskRecord record) {
  std::vector<TaskRecord> records;
  records.push_back(std::move(record));
  INFERQ_CO_ASSIGN(auto views, co_await ViewsOf(std::move(records), true));
  co_return std::move(views.front());
}

Awaitable<Result<std::vector<TaskView>>> Tasks::ViewsOf(std::vector<TaskRecord> records,
                                                        bool with_endings) {
  std::vector<model::Extent> extents;
  for (const TaskRecord& record : records) {
    if (auto head = EndpointOf(record); head.length > 0) extents.push_back(head);
    if (with_endings && record.outcome.result.length > 0) extents.push_back(record.outcome.result);
  }
  std::vector<Result<std::string>> texts;
  if (!extents.empty()) {
    auto read = [blobs = env_.blobs, extents] { return ReadExtents(*blobs, extents); };
    texts = co_await env_.runtime.RunBlocking(runtime::kAnyLane, std::move(read));
  }
  std::vector<TaskView> views;
  size_t next = 0;
  for (TaskRecord& record : records) {
    TaskView view;
    if (EndpointOf(record).length > 0) {
      INFERQ_CO_ASSIGN(std::string head, std::move(texts[next++]));
      if (auto endpoint = wire::StoredEndpoint(head)) view.endpoint = EndpointPath(*endpoint);
    }
    if (with_endings && record.outcome.result.length > 0) {
      INFERQ_CO_ASSIGN(view.ending, std::move(texts[next++]));
    }
    view.record = std::move(record);
    views.push_back(std::move(view));
  }
  co_return views;
}

Awaitable<Result<TaskPage>> Tasks::List(Caller caller, TaskList request) {
  queue::QueryRequest query;
  query.filter.tenant = caller.tenant;
  query.filter.single = true;
  query.filter.state = request.status;
  if (!request.kind.empty()) query.filter.lane = KindLane(caller.tenant, request.kind);
  if (!request.after.empty()) {
    auto after = model::ParseTaskId(request.after);
    if (!after) co_return NoSuchTask(request.after);
    query.after = after->value;
  }
  query.limit = request.limit + 1;
  INFERQ_CO_ASSIGN(auto records, co_await env_.queue.Query(std::move(query)));
  TaskPage page;
  page.has_more = records.size() > request.limit;
  if (page.has_more) records.pop_back();
  INFERQ_CO_ASSIGN(page.tasks, co_await ViewsOf(std::move(records), false));
  co_return page;
}

Awaitable<Result<queue::Explanation>> Tasks::Explain(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(TaskRecord record, co_await Own(std::move(caller), std::move(id)));
  co_return co_await env_.queue.Explain(record.id);
}

Awaitable<Result<TaskView>> Tasks::Edit(Caller caller, TaskEdit edit) {
  INFERQ_CO_ASSIGN(TaskRecord record, co_await Own(caller, edit.id));
  queue::EditRequest request{.id = record.id,
                             .if_version = edit.if_version,
                             .priority = edit.patch.priority,
                             .deadline = edit.patch.deadline};
  auto edited = co_await env_.queue.Edit(std::move(request));
  INFERQ_CO_ASSIGN(record, co_await Own(std::move(caller), edit.id));
  if (edited) co_return co_await ViewOf(std::move(record));
  if (edit.if_version && *edit.if_version != record.version) {
    co_return base::Fail(Code::kAborted, "The task has version {}, not {}.", record.version,
                         *edit.if_version);
  }
  co_return std::unexpected(std::move(edited).error());
}

Awaitable<Result<TaskView>> Tasks::Cancel(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(TaskRecord record, co_await Own(caller, id));
  std::vector<TaskId> ids{record.id};
  auto cancelled = co_await env_.queue.Cancel(std::move(ids));
  INFERQ_CO_TRY(std::move(cancelled.front()));
  co_return co_await Get(std::move(caller), std::move(id), {});
}

Awaitable<Result<uint64_t>> Tasks::CancelWhere(Caller caller, wire::TaskSelection chosen) {
  queue::TaskFilter filter;
  filter.tenant = caller.tenant;
  filter.state = chosen.status;
  if (!chosen.kind.empty()) filter.lane = KindLane(caller.tenant, chosen.kind);
  filter.single = true;
  co_return co_await env_.queue.CancelWhere(std::move(filter));
}

Awaitable<Result<TaskView>> Tasks::Requeue(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(TaskRecord record, co_await Own(caller, id));
  if (record.spec.batch) {
    co_return base::Fail(Code::kFailedPrecondition,
                         "{} is a line of a batch, whose output files hold its result already", id);
  }
  std::vector<TaskId> ids{record.id};
  auto requeued = co_await env_.queue.Requeue(std::move(ids));
  INFERQ_CO_TRY(std::move(requeued.front()));
  if (KindOf(record.spec.lane).empty()) env_.wake(record.spec.lane);
  co_return co_await Get(std::move(caller), std::move(id), {});
}

Awaitable<Result<Work>> Tasks::Load(queue::ClaimedTask task) {
  auto read = [blobs = env_.blobs, payload = task.spec.payload] { return blobs->Read(payload); };
  INFERQ_CO_ASSIGN(std::string text, co_await env_.runtime.RunBlocking(runtime::kAnyLane, read));
  INFERQ_CO_ASSIGN(auto request, wire::ParseStoredRequest(text));
  Work work;
  work.request.id = AttemptId(task);
  work.request.endpoint = request.endpoint;
  work.request.body = std::move(request.body);
  work.request.model = task.spec.lane;
  work.request.traceparent = task.spec.traceparent;
  co_return work;
}

// What a backend sent may be no JSON; then it is kept as a text.
std::string Tasks::AnswerText(const queue::ClaimedTask& task, Work work, engine::Delta answer) {
  std::string body = AnswerBody(task, work, std::move(answer), env_.runtime.clock().Wall());
  return wire::ParseJson(body) ? body : wire::JsonString(body);
}

std::string Tasks::ErrorText(const base::Error& error) {
  return wire::TaskErrorJson(base::CodeName(error.code()), error.message());
}

}  // namespace inferq::service
