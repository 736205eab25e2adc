#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "http/multipart.h"

namespace inferq::api {

/// The form of an upload, taken part by part in whatever order they come: the file's bytes go on to
/// the service, the fields are kept. Fields that are not known are passed over.
///
/// Order: Take ... -> Finish. After a failure it is dropped, and the bytes with it.
class UploadForm {
 public:
  static constexpr size_t kMaxFieldBytes = 1024;  ///< A longer value is a 400.
  static constexpr size_t kAppendBytes = 256u << 10;

  explicit UploadForm(Call& call) : call_(call) {}

  /// 400: a second file, a field twice or too long. 413: a file over the limit. Failures of the
  /// service.
  Awaitable<wire::ApiResult<>> Take(http::MultipartEvent event);
  /// Checks the fields and makes the file. 400: `file` or `purpose` is missing or wrong.
  Awaitable<wire::ApiResult<model::FileRecord>> Finish();

 private:
  enum class Part : uint8_t { kOther, kFile, kField };
  struct Field {
    std::string_view name;
    std::optional<std::string> value;
  };

  Awaitable<wire::ApiResult<>> Begin(http::PartBegin part);
  Awaitable<wire::ApiResult<>> AddData(std::string bytes);
  Awaitable<wire::ApiResult<>> BeginFile(http::PartBegin part);
  wire::ApiResult<> BeginField(std::string_view name);
  wire::ApiResult<> AddToField(std::string_view bytes);
  Awaitable<wire::ApiResult<>> AddToFile(std::string bytes);
  Awaitable<wire::ApiResult<>> Flush();
  wire::ApiResult<service::NewFile> Check() const;

  Call& call_;
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
