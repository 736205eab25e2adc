#include <charconv>

#include "api/query.h"
#include "api/read_body.h"
#include "api/routes.h"
#include "api/task_view.h"
#include "service/estimate.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

constexpr uint32_t kMaxTasks = 1000;  // of one page
constexpr uint32_t kTasks = 100;

ApiResult<wire::TaskCreate> ReadTaskCreate(std::string_view body, const std::string& key) {
  INFERQ_ASSIGN(auto create, wire::ParseTaskCreate(body, key));
  for (wire::NewTask& task : create.tasks) {
    if (!task.request) continue;
    service::EstimateCost(task.spec, *task.request);
    task.request.reset();  // the text goes
  }
  return create;
}

Awaitable<void> SendTask(Call& call, const service::TaskView& view) {
  call.exchange.AddHeader("etag", fmt::format("\"{}\"", view.record.version));
  co_await SendJson(call, TaskJson(view));
}

ApiResult<std::optional<model::Generation>> GenerationParam(std::string_view query) {
  INFERQ_ASSIGN(auto text, FindParam(query, "generation"));
  if (!text) return std::nullopt;
  INFERQ_ASSIGN(uint32_t generation, IntegerParam(query, "generation", 0, UINT32_MAX, 0));
  return generation;
}

ApiResult<service::TaskList> ReadTaskList(std::string_view query) {
  service::TaskList list;
  INFERQ_ASSIGN(auto status, FindParam(query, "status"));
  INFERQ_ASSIGN(auto kind, FindParam(query, "kind"));
  INFERQ_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_ASSIGN(list.limit, IntegerParam(query, "limit", 1, kMaxTasks, kTasks));
  if (status) {
    INFERQ_ASSIGN(list.status, wire::ParseStatus(*status, "status"));
  }
  list.kind = kind.value_or("");
  list.after = after.value_or("");
  return list;
}

}  // namespace

Awaitable<ApiResult<>> CreateTasks(Call& call) {
  std::string key(http::FindHeader(call.request().headers, "idempotency-key").value_or(""));
  auto parse = [key = std::move(key)](std::string_view body) { return ReadTaskCreate(body, key); };
  INFERQ_CO_ASSIGN(auto create, co_await ReadParsed(call, std::move(parse)));
  INFERQ_CO_ASSIGN(auto submitted, co_await call.use_cases.SubmitTasks(call.here(), call.caller,
                                                                       std::move(create)));
  if (submitted.task) {
    co_await SendTask(call, *submitted.task);
  } else {
    co_await SendJson(call, wire::CreatedTasksJson(submitted.ids));
  }
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto list, ReadTaskList(call.request().query));
  INFERQ_CO_ASSIGN(auto page,
                   co_await call.use_cases.ListTasks(call.here(), call.caller, std::move(list)));
  co_await SendJson(call, TaskPageJson(page));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetTask(Call& call) {
  INFERQ_CO_ASSIGN(auto generation, GenerationParam(call.request().query));
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.GetTask(call.here(), call.caller, call.id, generation));
  co_await SendTask(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ExplainTask(Call& call) {
  INFERQ_CO_ASSIGN(auto explanation,
                   co_await call.use_cases.ExplainTask(call.here(), call.caller, call.id));
  co_await SendJson(call, ExplanationJson(explanation));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> EditTask(Call& call) {
  service::TaskEdit edit;
  if (auto header = http::FindHeader(call.request().headers, "if-match")) {
    INFERQ_CO_ASSIGN(edit.if_version, wire::ParseIfMatch(*header));
  }
  INFERQ_CO_ASSIGN(edit.patch, co_await ReadParsed(call, wire::ParseTaskPatch));
  edit.id = call.id;
  auto view = co_await call.use_cases.EditTask(call.here(), call.caller, std::move(edit));
  if (!view) co_return std::unexpected(EditError(view.error()));
  co_await SendTask(call, *view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CancelTask(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.CancelTask(call.here(), call.caller, call.id));
  co_await SendTask(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CancelTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto chosen, co_await ReadParsed(call, wire::ParseTaskSelection));
  INFERQ_CO_ASSIGN(uint64_t cancelled, co_await call.use_cases.CancelTasks(call.here(), call.caller,
                                                                           std::move(chosen)));
  co_await SendJson(call, fmt::format(R"({{"cancelled":{}}})", cancelled));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> RequeueTask(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.RequeueTask(call.here(), call.caller, call.id));
  co_await SendTask(call, view);
  co_return ApiResult<>();
}

}  // namespace inferq::api
