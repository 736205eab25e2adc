#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/file.h"
#include "model/upload.h"
#include "wire/api_error.h"

namespace inferq::wire {

inline constexpr size_t kMaxUploadParts = 10'000;
inline constexpr size_t kMaxFilename = 1024;  ///< Bytes.
inline constexpr size_t kMaxMimeType = 255;   ///< Bytes.

/// The body of an upload's creation, checked.
struct UploadCreate {
  uint64_t bytes = 0;
  std::string filename;
  std::string mime_type;
  std::string purpose;
  std::optional<base::Micros> expires_after{};
};
/// @param max_bytes  the largest file that is taken.
ApiResult<UploadCreate> ParseUploadCreate(std::string_view body, uint64_t max_bytes);

/// The body that completes one.
struct UploadComplete {
  std::vector<std::string> part_ids;
  std::string md5;  ///< Small letters; "": none.
};
ApiResult<UploadComplete> ParseUploadComplete(std::string_view body);

/// The object "upload", with its file (null without).
std::string UploadJson(const model::UploadRecord& upload,
                       const std::optional<model::FileRecord>& file);
/// The object "upload.part".
std::string PartJson(std::string_view id, std::string_view upload_id, base::WallTime created);

}  // namespace inferq::wire
