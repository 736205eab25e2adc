#include "api/query.h"
#include "api/read_body.h"
#include "api/routes.h"
#include "wire/batch_object.h"
#include "wire/file_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

constexpr uint32_t kMaxBatches = 100;  // of one page
constexpr uint32_t kBatches = 20;

std::string ViewJson(const service::BatchView& view) {
  return wire::BatchJson(view.record,
                         {.total = view.total, .completed = view.succeeded, .failed = view.failed});
}

service::NewBatch ToNewBatch(wire::BatchCreate create) {
  service::NewBatch batch;
  batch.input_file_id = std::move(create.input_file_id);
  batch.endpoint = wire::EndpointPath(create.endpoint);
  batch.completion_window = std::move(create.completion_window);
  batch.metadata = std::move(create.metadata);
  batch.output_expires_after = create.output_expires_after;
  return batch;
}

}  // namespace

Awaitable<ApiResult<>> CreateBatch(Call& call) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  INFERQ_CO_ASSIGN(auto create, wire::ParseBatchCreate(*body));
  service::NewBatch batch = ToNewBatch(std::move(create));
  auto view = co_await call.use_cases.CreateBatch(call.here(), call.caller, std::move(batch));
  if (!stored.empty() && (!view || view->record.input_file_id != stored)) {
    (void)co_await call.use_cases.DeleteFile(call.here(), call.caller, stored);
  }
  if (!view) co_return std::unexpected(view.error());
  co_await SendJson(call, ViewJson(*view));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListBatches(Call& call) {
  std::string_view query = call.request().query;
  INFERQ_CO_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_CO_ASSIGN(uint32_t limit, IntegerParam(query, "limit", 1, kMaxBatches, kBatches));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListBatches(call.here(), call.caller,
                                                                  after.value_or(""), limit));
  std::vector<wire::ListItem> items;
  for (const service::BatchView& view : page.records) {
    items.push_back({view.record.id, ViewJson(view)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto view, co_await call.use_cases.GetBatch(call.here(), call.caller, call.id));
  co_await SendJson(call, ViewJson(view));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CancelBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.CancelBatch(call.here(), call.caller, call.id));
  co_await SendJson(call, ViewJson(view));
  co_return ApiResult<>();
}

}  // namespace inferq::api
