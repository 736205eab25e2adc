#include "api/query.h"
#include "api/routes.h"
#include "http/multipart.h"
#include "wire/file_object.h"
#include "wire/image_blobs.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

constexpr uint32_t kMaxBlobs = 10'000;  // of one page
constexpr uint32_t kBlobs = 100;

// The bytes of the form's part `file`.
ApiResult<std::string> FileOfForm(std::string_view type, std::string_view body) {
  INFERQ_ASSIGN(std::string boundary, http::MultipartBoundary(type));
  http::MultipartReader reader(std::move(boundary));
  INFERQ_ASSIGN(auto events, reader.Feed(body));
  INFERQ_TRY(reader.Finish());
  std::optional<std::string> file;
  bool inside = false;
  for (http::MultipartEvent& event : events) {
    if (auto* begin = std::get_if<http::PartBegin>(&event)) {
      inside = begin->name == "file";
      if (inside && file) {
        return std::unexpected(
            wire::BadRequest("The form has more than one 'file'; send one blob at a time.", "file",
                             "duplicate_parameter"));
      }
      if (inside) file.emplace();
    }
    auto* data = std::get_if<http::PartData>(&event);
    if (data != nullptr && inside) *file += data->bytes;
  }
  if (!file) return std::unexpected(wire::MissingParameter("file"));
  return *std::move(file);
}

}  // namespace

Awaitable<ApiResult<>> CreateBlob(Call& call) {
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  std::string bytes = *std::move(body);
  auto type = http::FindHeader(call.request().headers, "content-type").value_or("");
  if (type.starts_with("multipart/")) {
    INFERQ_CO_ASSIGN(bytes, FileOfForm(type, bytes));
  }
  INFERQ_CO_ASSIGN(auto blob,
                   co_await call.use_cases.PutBlob(call.here(), call.caller, std::move(bytes)));
  co_await SendJson(call, wire::BlobJson(blob));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListBlobs(Call& call) {
  INFERQ_CO_ASSIGN(PageQuery asked, ReadPageQuery(call.request().query, kMaxBlobs, kBlobs));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListBlobs(call.here(), call.caller,
                                                                asked.after, asked.limit));
  std::vector<wire::ListItem> items;
  for (const model::FileRecord& blob : page.records) {
    items.push_back({blob.id, wire::BlobJson(blob)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetBlob(Call& call) {
  INFERQ_CO_ASSIGN(auto blob, co_await call.use_cases.GetBlob(call.here(), call.caller, call.id));
  co_await SendJson(call, wire::BlobJson(blob));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> DeleteBlob(Call& call) {
  INFERQ_CO_TRY(co_await call.use_cases.DeleteBlob(call.here(), call.caller, call.id));
  co_await SendJson(call, wire::DeletedBlobJson(call.id));
  co_return ApiResult<>();
}

}  // namespace inferq::api
