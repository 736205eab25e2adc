#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace inferq::model {

// clang-format off
/// Where an upload in parts is in its life (OpenAI's states).
///
///   kPending ─ complete ─► kCompleted   its bytes are a file
///      │ └──── cancel ───► kCancelled
///      └─ time is over ──► kExpired
// clang-format on
enum class UploadStatus : uint8_t { kPending, kCompleted, kCancelled, kExpired };
inline constexpr size_t kUploadStatusCount = 4;

/// "pending", …
constexpr std::string_view UploadStatusName(UploadStatus status) {
  constexpr std::string_view kNames[kUploadStatusCount] = {"pending", "completed", "cancelled",
                                                           "expired"};
  return kNames[static_cast<size_t>(status)];
}

/// Some of an upload's bytes, in a sealed blob of their own.
struct UploadPart {
  std::string id;  ///< "part_…", opaque outside.
  uint64_t blob = 0;
  uint64_t bytes = 0;
};

/// A file that comes in parts, as it is stored.
struct UploadRecord {
  std::string id;         ///< "upload_…", opaque outside.
  uint64_t sequence = 0;  ///< Order of creation over all files, batches and uploads, from 1.
  std::string tenant;
  std::string filename;
  std::string purpose;
  std::string mime_type;
  uint64_t bytes = 0;                           ///< That the file is to have.
  std::optional<base::Micros> expires_after{};  ///< Lifetime of the file.
  UploadStatus status = UploadStatus::kPending;
  std::vector<UploadPart> parts;  ///< In the order of their coming; while pending.
  std::string file_id;            ///< Once completed.
  uint64_t completion = 0;        ///< Hash of the call that completed it, to know it again.
  base::WallTime created{};
  base::WallTime expires{};               ///< Then it ends, if nobody ended it.
  std::optional<base::WallTime> ended{};  ///< Once not pending.
};

}  // namespace inferq::model
