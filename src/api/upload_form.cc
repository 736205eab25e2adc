#include "api/upload_form.h"

#include "wire/file_object.h"

namespace inferq::api {

using wire::ApiError;
using wire::ApiResult;
using wire::BadRequest;

namespace {

constexpr uint64_t kFormBytes = 1u << 20;  // for fields and part heads around a file

}  // namespace

Awaitable<ApiResult<>> UploadForm::Read() {
  auto type = http::FindHeader(call_.request().headers, "content-type");
  INFERQ_CO_ASSIGN(std::string boundary, http::MultipartBoundary(type.value_or("")));
  uint64_t most = call_.body_limit + kFormBytes;
  base::Error over(base::Code::kOutOfRange, "");
  if (call_.exchange.content_length().value_or(0) > most) {
    co_return std::unexpected(BodyError(over, call_.body_limit));
  }
  http::MultipartReader reader(std::move(boundary));
  uint64_t received = 0;
  while (true) {
    auto piece = co_await call_.exchange.NextPiece();
    if (!piece) co_return std::unexpected(BodyError(piece.error(), call_.body_limit));
    if (piece->empty()) break;
    received += piece->size();
    if (received > most) co_return std::unexpected(BodyError(over, call_.body_limit));
    INFERQ_CO_ASSIGN(auto events, reader.Feed(*piece));
    for (http::MultipartEvent& event : events) INFERQ_CO_TRY(co_await Take(std::move(event)));
  }
  INFERQ_CO_TRY(reader.Finish());
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> UploadForm::Take(http::MultipartEvent event) {
  if (auto* begin = std::get_if<http::PartBegin>(&event)) {
    co_return co_await Begin(std::move(*begin));
  }
  if (auto* data = std::get_if<http::PartData>(&event)) {
    co_return co_await AddData(std::move(data->bytes));
  }
  if (part_ == Part::kFile) INFERQ_CO_TRY(co_await Flush());
  part_ = Part::kOther;
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> UploadForm::Begin(http::PartBegin part) {
  if (part.name == file_field_) co_return co_await BeginFile(std::move(part));
  co_return BeginField(part.name);
}

Awaitable<ApiResult<>> UploadForm::AddData(std::string bytes) {
  switch (part_) {
    case Part::kFile:
      co_return co_await AddToFile(std::move(bytes));
    case Part::kField:
      co_return AddToField(bytes);
    case Part::kOther:
      break;
  }
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> UploadForm::BeginFile(http::PartBegin part) {
  if (upload_) {
    co_return std::unexpected(BadRequest(
        fmt::format("The form has more than one '{}'; upload one at a time.", file_field_),
        file_field_, "duplicate_parameter"));
  }
  if (!part.filename || part.filename->empty()) {
    co_return std::unexpected(BadRequest(
        fmt::format("'{}' must be a file with a filename, not a plain field.", file_field_),
        file_field_, "invalid_type"));
  }
  filename_ = *std::move(part.filename);
  INFERQ_CO_ASSIGN(upload_, co_await call_.use_cases.BeginUpload(call_.here(), call_.caller));
  part_ = Part::kFile;
  co_return ApiResult<>();
}

ApiResult<> UploadForm::BeginField(std::string_view name) {
  part_ = Part::kOther;
  for (Field& field : fields_) {
    if (field.name != name) continue;
    if (field.value) {
      return std::unexpected(BadRequest(fmt::format("The form has more than one '{}'.", name), name,
                                        "duplicate_parameter"));
    }
    field.value.emplace();
    field_ = &field;
    part_ = Part::kField;
  }
  return {};
}

ApiResult<> UploadForm::AddToField(std::string_view bytes) {
  if (field_->value->size() + bytes.size() > kMaxFieldBytes) {
    return std::unexpected(
        BadRequest(fmt::format("'{}' is longer than {} bytes.", field_->name, kMaxFieldBytes),
                   field_->name, "string_above_max_length"));
  }
  field_->value->append(bytes);
  return {};
}

Awaitable<ApiResult<>> UploadForm::AddToFile(std::string bytes) {
  size_ += bytes.size();
  if (size_ > call_.body_limit) co_return std::unexpected(TooLarge(call_.body_limit));
  buffer_ = buffer_.empty() ? std::move(bytes) : std::move(buffer_) + bytes;
  if (buffer_.size() >= kAppendBytes) co_return co_await Flush();
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> UploadForm::Flush() {
  if (buffer_.empty()) co_return ApiResult<>();
  INFERQ_CO_TRY(co_await upload_->Append(call_.here(), std::exchange(buffer_, {})));
  co_return ApiResult<>();
}

ApiError UploadForm::TooLarge(uint64_t limit) const {
  ApiError error =
      BadRequest(fmt::format("The file is larger than the {} bytes that are taken here.", limit),
                 file_field_, "request_too_large");
  error.status = 413;
  return error;
}

ApiResult<std::shared_ptr<service::Upload>> UploadForm::TakeBytes() {
  if (!upload_) return std::unexpected(wire::MissingParameter(file_field_));
  return std::move(upload_);
}

ApiResult<service::NewFile> UploadForm::Check() const {
  const auto& [purpose, anchor, seconds] = fields_;
  if (!upload_) return std::unexpected(wire::MissingParameter(file_field_));
  if (!purpose.value) return std::unexpected(wire::MissingParameter("purpose"));
  if (!wire::IsUploadPurpose(*purpose.value)) {
    return std::unexpected(wire::InvalidValue("purpose", *purpose.value, wire::UploadPurposes()));
  }
  uint64_t most = call_.options.limits.batch_file;
  if (*purpose.value == "batch" && size_ > most) return std::unexpected(TooLarge(most));
  service::NewFile file;
  file.filename = filename_;
  file.purpose = *purpose.value;
  INFERQ_ASSIGN(file.expires_after,
                wire::ParseExpiresAfter(anchor.value, seconds.value, "expires_after"));
  return file;
}

Awaitable<ApiResult<model::FileRecord>> UploadForm::Finish() {
  INFERQ_CO_ASSIGN(service::NewFile file, Check());
  INFERQ_CO_ASSIGN(auto record,
                   co_await call_.use_cases.FinishUpload(call_.here(), call_.caller,
                                                         std::move(file), std::move(upload_)));
  co_return record;
}

}  // namespace inferq::api
