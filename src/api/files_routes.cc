#include <algorithm>

#include "api/byte_range.h"
#include "api/query.h"
#include "api/routes.h"
#include "api/upload_form.h"
#include "wire/file_object.h"

namespace inferq::api {

using wire::ApiError;
using wire::ApiResult;

namespace {

constexpr uint32_t kMaxFiles = 10'000;  // of one page
constexpr uint64_t kContentPiece = 256u << 10;

ApiResult<catalog::ListOrder> OrderParam(std::string_view query) {
  INFERQ_ASSIGN(auto order, FindParam(query, "order"));
  if (!order || *order == "desc") return catalog::ListOrder::kNewestFirst;
  if (*order == "asc") return catalog::ListOrder::kOldestFirst;
  return std::unexpected(wire::InvalidValue("order", *order, "'asc' and 'desc'"));
}

ApiResult<service::FileList> ReadFileList(std::string_view query) {
  service::FileList list;
  INFERQ_ASSIGN(auto purpose, FindParam(query, "purpose"));
  INFERQ_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_ASSIGN(list.limit, IntegerParam(query, "limit", 1, kMaxFiles, kMaxFiles));
  INFERQ_ASSIGN(list.order, OrderParam(query));
  list.purpose = purpose.value_or("");
  list.after = after.value_or("");
  if (!list.purpose.empty() && !wire::IsFilePurpose(list.purpose)) {
    return std::unexpected(wire::InvalidValue("purpose", list.purpose, wire::FilePurposes()));
  }
  return list;
}

/// The bytes, behind the answer's head. A failure cuts the answer off.
Awaitable<void> WriteContent(Call& call, service::Content& content, ByteRange range) {
  while (range.length > 0) {
    uint64_t length = std::min(range.length, kContentPiece);
    auto bytes = co_await content.Read(call.here(), range.offset, length);
    if (!bytes) co_return call.exchange.Abort();
    if (!co_await call.exchange.Write(*bytes)) co_return;
    range.offset += length;
    range.length -= length;
  }
  (void)co_await call.exchange.End();
}

}  // namespace

Awaitable<ApiResult<>> CreateFile(Call& call) {
  UploadForm form(call, "file");
  INFERQ_CO_TRY(co_await form.Read());
  INFERQ_CO_ASSIGN(auto file, co_await form.Finish());
  co_await SendJson(call, wire::FileJson(file));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListFiles(Call& call) {
  INFERQ_CO_ASSIGN(auto list, ReadFileList(call.request().query));
  INFERQ_CO_ASSIGN(auto page,
                   co_await call.use_cases.ListFiles(call.here(), call.caller, std::move(list)));
  std::vector<wire::ListItem> items;
  for (const model::FileRecord& file : page.records) {
    items.push_back({file.id, wire::FileJson(file)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetFile(Call& call) {
  INFERQ_CO_ASSIGN(auto file, co_await call.use_cases.GetFile(call.here(), call.caller, call.id));
  co_await SendJson(call, wire::FileJson(file));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> DeleteFile(Call& call) {
  INFERQ_CO_TRY(co_await call.use_cases.DeleteFile(call.here(), call.caller, call.id));
  co_await SendJson(call, wire::DeletedFileJson(call.id));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetFileContent(Call& call) {
  INFERQ_CO_ASSIGN(auto content,
                   co_await call.use_cases.OpenContent(call.here(), call.caller, call.id));
  uint64_t size = content->file().bytes;
  bool head = call.request().method == "HEAD";
  std::optional<ByteRange> part;  // Range is defined for GET only
  if (!head) {
    auto asked = RequestedRange(call.request().headers, size);
    if (!asked) {
      call.exchange.AddHeader("content-range", fmt::format("bytes */{}", size));
      co_return std::unexpected(asked.error());
    }
    part = *asked;
  }
  ByteRange range = part.value_or(ByteRange{.offset = 0, .length = size});
  http::Headers headers{{"content-type", "application/octet-stream"}, {"accept-ranges", "bytes"}};
  if (part) {
    headers.push_back({"content-range", fmt::format("bytes {}-{}/{}", range.offset,
                                                    range.offset + range.length - 1, size)});
  }
  auto begun = co_await call.exchange.Begin(part ? 206 : 200, std::move(headers), range.length);
  if (!begun) co_return ApiResult<>();
  if (head) range.length = 0;
  co_await WriteContent(call, *content, range);
  co_return ApiResult<>();
}

}  // namespace inferq::api
