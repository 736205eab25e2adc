#include "api/routes.h"
#include "api/upload_form.h"
#include "wire/upload_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

Awaitable<void> SendUpload(Call& call, const service::UploadView& view) {
  return SendJson(call, wire::UploadJson(view.record, view.file));
}

service::NewUpload ToNewUpload(wire::UploadCreate create) {
  return {.filename = std::move(create.filename),
          .purpose = std::move(create.purpose),
          .mime_type = std::move(create.mime_type),
          .bytes = create.bytes,
          .expires_after = create.expires_after};
}

}  // namespace

Awaitable<ApiResult<>> CreateUpload(Call& call) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  INFERQ_CO_ASSIGN(auto create, wire::ParseUploadCreate(*body, call.options.limits.parts));
  service::NewUpload upload = ToNewUpload(std::move(create));
  INFERQ_CO_ASSIGN(
      auto view, co_await call.use_cases.CreateUpload(call.here(), call.caller, std::move(upload)));
  co_await SendUpload(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> AddUploadPart(Call& call) {
  UploadForm form(call, "data");
  INFERQ_CO_TRY(co_await form.Read());
  INFERQ_CO_ASSIGN(auto bytes, form.TakeBytes());
  INFERQ_CO_ASSIGN(auto part, co_await call.use_cases.FinishPart(call.here(), call.caller, call.id,
                                                                 std::move(bytes)));
  co_await SendJson(call, wire::PartJson(part.id, part.upload_id, part.created));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CompleteUpload(Call& call) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  INFERQ_CO_ASSIGN(auto complete, wire::ParseUploadComplete(*body));
  service::UploadCompletion completion{.part_ids = std::move(complete.part_ids),
                                       .md5 = std::move(complete.md5)};
  INFERQ_CO_ASSIGN(auto view, co_await call.use_cases.CompleteUpload(
                                  call.here(), call.caller, call.id, std::move(completion)));
  co_await SendUpload(call, view);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CancelUpload(Call& call) {
  INFERQ_CO_ASSIGN(auto view,
                   co_await call.use_cases.CancelUpload(call.here(), call.caller, call.id));
  co_await SendUpload(call, view);
  co_return ApiResult<>();
}

}  // namespace inferq::api
