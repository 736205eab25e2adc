#include "api/batch_view.h"
#include "api/query.h"
#include "api/read_body.h"
#include "api/routes.h"
#include "wire/batch_object.h"
#include "wire/file_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

service::NewBatch ToNewBatch(wire::BatchCreate create) {
  service::NewBatch batch;
  batch.input_file_id = std::move(create.input_file_id);
  batch.rows = std::move(create.rows);
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

Awaitable<ApiResult<wire::BatchCreate>> ReadCreate(Call& call) {
  auto key = http::FindHeader(call.request().headers, "idempotency-key");
  auto parse = [key = std::string(key.value_or(""))](std::string_view body) {
    return wire::ParseBatchCreate(body, key);
  };
  auto create = co_await ReadParsed(call, parse);
  const bool too_long = !create && create.error().status == 413;
  if (too_long && create.error().param != "content-encoding") {
    create.error().message +=
        " Requests that are longer together go into a file: upload it with purpose batch and name "
        "it "
        "in input_file_id.";
  }
  co_return create;
}

// Requests of the creation itself become a file like any other, durable before the batch is.
Awaitable<ApiResult<std::string>> StoreLines(Call& call, std::string lines) {
  INFERQ_CO_ASSIGN(auto upload, co_await call.use_cases.BeginUpload(call.here(), call.caller));
  INFERQ_CO_TRY(co_await upload->Append(call.here(), std::move(lines)));
  service::NewFile file{
      .filename = "batch_requests.jsonl", .purpose = "batch", .expires_after = {}};
  INFERQ_CO_ASSIGN(auto record, co_await call.use_cases.FinishUpload(
                                    call.here(), call.caller, std::move(file), std::move(upload)));
  co_return record.id;
}

}  // namespace

Awaitable<ApiResult<>> CreateBatch(Call& call) {
  INFERQ_CO_ASSIGN(auto create, co_await ReadCreate(call));
  std::string stored;  // for this batch alone
  if (!create.input_lines.empty()) {
    INFERQ_CO_ASSIGN(stored, co_await StoreLines(call, std::move(create.input_lines)));
    create.input_file_id = stored;
  }
  service::NewBatch batch = ToNewBatch(std::move(create));
  auto view = co_await call.use_cases.CreateBatch(call.here(), call.caller, std::move(batch));
  if (!stored.empty() && (!view || view->record.input_file_id != stored)) {
    (void)co_await call.use_cases.DeleteFile(call.here(), call.caller, stored);
  }
  if (!view) co_return std::unexpected(view.error());
  co_await SendBatch(call, *view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListBatches(Call& call) {
  INFERQ_CO_ASSIGN(PageQuery asked, ReadPageQuery(call.request().query));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListBatches(call.here(), call.caller,
                                                                  asked.after, asked.limit));
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
