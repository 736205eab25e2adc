#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "http/multipart.h"

namespace inferq::api {

/// The form of an upload, or of a part of one, taken piece by piece in whatever order they come:
/// the file's bytes go on to the service, the fields are kept. Fields that are not known are passed
/// over.
///
/// Order: Read -> Finish or TakeBytes. After a failure it is dropped, and the bytes with it.
class UploadForm {
 public:
  static constexpr size_t kMaxFieldBytes = 1024;  ///< A longer value is a 400.
  static constexpr size_t kAppendBytes = 256u << 10;

  /// @param file_field  the field that holds the bytes.
  UploadForm(Call& call, std::string_view file_field) : call_(call), file_field_(file_field) {}

  /// Reads the call's body to its end. 400: no form, a second file, a field twice or too long. 413:
  /// a file over the limit. Failures of the service.
  Awaitable<wire::ApiResult<>> Read();
  /// The bytes of a form that has no other fields. 400: they are missing.
  wire::ApiResult<std::shared_ptr<service::Upload>> TakeBytes();
  /// Checks the fields and makes the file. 400: `file` or `purpose` is missing or wrong.
  Awaitable<wire::ApiResult<model::FileRecord>> Finish();

 private:
  enum class Part : uint8_t { kOther, kFile, kField };
  struct Field {
    std::string_view name;
    std::optional<std::string> value;
  };

  wire::ApiError TooLarge(uint64_t limit) const;
  Awaitable<wire::ApiResult<>> Take(http::MultipartEvent event);
  Awaitable<wire::ApiResult<>> Begin(http::PartBegin part);
  Awaitable<wire::ApiResult<>> AddData(std::string bytes);
  Awaitable<wire::ApiResult<>> BeginFile(http::PartBegin part);
  wire::ApiResult<> BeginField(std::string_view name);
  wire::ApiResult<> AddToField(std::string_view bytes);
  Awaitable<wire::ApiResult<>> AddToFile(std::string bytes);
  Awaitable<wire::ApiResult<>> Flush();
  wire::ApiResult<service::NewFile> Check() const;

  Call& call_;
  const std::string_view file_field_;
  Part part_ = Part::kOther;
  Field fields_[3] = {
      {"purpose", {}}, {"expires_after[anchor]", {}}, {"expires_after[seconds]", {}}};
  Field* field_ = nullptr;  // the one under way
  std::shared_ptr<service::Upload> upload_;
  std::string filename_;
  std::string buffer_;
  uint64_t size_ = 0;
};

}  // namespace inferq::api
