// What clients may do with a batch beyond OpenAI's API, but for reading its results.

#include "api/batch_view.h"
#include "api/read_body.h"
#include "api/routes.h"
#include "wire/batch_extension.h"
#include "wire/task_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

Awaitable<ApiResult<>> SetPaused(Call& call, bool paused) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.PauseBatch(call.here(), call.caller, call.id, paused));
  co_await SendBatch(call, std::move(view));
  co_return ApiResult<>();
}

}  // namespace

Awaitable<ApiResult<>> PauseBatch(Call& call) { return SetPaused(call, true); }

Awaitable<ApiResult<>> ResumeBatch(Call& call) { return SetPaused(call, false); }

Awaitable<ApiResult<>> EditBatch(Call& call) {
  service::BatchEdit edit;
  if (auto header = http::FindHeader(call.request().headers, "if-match")) {
    INFERQ_CO_ASSIGN(edit.if_version, wire::ParseIfMatch(*header));
  }
  INFERQ_CO_ASSIGN(edit.patch, co_await ReadParsed(call, wire::ParseBatchPatch));
  edit.id = call.id;
  auto view = co_await call.use_cases.EditBatch(call.here(), call.caller, std::move(edit));
  if (!view) co_return std::unexpected(EditError(view.error()));
  co_await SendBatch(call, *std::move(view));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> RetryBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.RetryBatch(call.here(), call.caller, call.id));
  co_await SendBatch(call, std::move(view));
  co_return ApiResult<>();
}

}  // namespace inferq::api
