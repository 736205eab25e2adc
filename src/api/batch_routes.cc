#include "api/batch_view.h"
#include "api/query.h"
#include "api/routes.h"
#include "wire/batch_object.h"
#include "wire/file_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

constexpr uint32_t kMaxBatches = 100;  // of one page
constexpr uint32_t kBatches = 20;

service::NewBatch ToNewBatch(wire::BatchCreate create) {
  service::NewBatch batch;
  batch.input_file_id = std::move(create.input_file_id);
  batch.endpoint = wire::EndpointPath(create.endpoint);
  batch.completion_window = std::move(create.completion_window);
  batch.metadata = std::move(create.metadata);
  batch.output_expires_after = create.output_expires_after;
  batch.idempotency_key = std::move(create.idempotency_key);
  batch.content_hash = create.content_hash;
  batch.priority = create.priority;
  batch.deadline = create.deadline;
  return batch;
}

}  // namespace

Awaitable<ApiResult<>> CreateBatch(Call& call) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  auto key = http::FindHeader(call.request().headers, "idempotency-key");
  INFERQ_CO_ASSIGN(auto create, wire::ParseBatchCreate(*body, key.value_or("")));
  service::NewBatch batch = ToNewBatch(std::move(create));
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.CreateBatch(call.here(), call.caller, std::move(batch)));
  co_await SendBatch(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListBatches(Call& call) {
  std::string_view query = call.request().query;
  INFERQ_CO_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_CO_ASSIGN(uint32_t limit, IntegerParam(query, "limit", 1, kMaxBatches, kBatches));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListBatches(call.here(), call.caller,
                                                                  after.value_or(""), limit));
  std::vector<wire::ListItem> items;
  base::WallTime now = call.here().clock().Wall();
  for (const service::BatchView& view : page.records) {
    items.push_back({view.record.id, BatchViewJson(view, now)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto view, co_await call.use_cases.GetBatch(call.here(), call.caller, call.id));
  co_await SendBatch(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CancelBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.CancelBatch(call.here(), call.caller, call.id));
  co_await SendBatch(call, view);
  co_return ApiResult<>();
}

}  // namespace inferq::api
