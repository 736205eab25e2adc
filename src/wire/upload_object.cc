#include "wire/upload_object.h"

#include <algorithm>
#include <array>

#include "wire/fields.h"
#include "wire/file_object.h"

namespace inferq::wire {

namespace {

constexpr std::array<std::string_view, 5> kCreateFields = {"bytes", "filename", "mime_type",
                                                           "purpose", "expires_after"};
constexpr std::array<std::string_view, 2> kCompleteFields = {"part_ids", "md5"};
constexpr size_t kMd5Digits = 32;
constexpr size_t kLongestPartId = 64;

ApiResult<> ReadCreateField(size_t field, JsonValue value, uint64_t max_bytes,
                            UploadCreate& create) {
  if (value.is_null()) return {};  // as if it were not there
  switch (field) {
    case 0: {
      auto most = static_cast<int64_t>(std::min<uint64_t>(max_bytes, INT64_MAX));
      INFERQ_ASSIGN(int64_t bytes, ReadInteger({}, "bytes", value, 1, most));
      create.bytes = static_cast<uint64_t>(bytes);
      return {};
    }
    case 1: {
      INFERQ_ASSIGN(create.filename, ReadText({}, "filename", value, 1, kMaxFilename));
      return {};
    }
    case 2: {
      INFERQ_ASSIGN(create.mime_type, ReadText({}, "mime_type", value, 1, kMaxMimeType));
      return {};
    }
    case 3: {
      INFERQ_ASSIGN(create.purpose, ReadText({}, "purpose", value, 0, kMaxMimeType));
      if (IsUploadPurpose(create.purpose)) return {};
      return std::unexpected(InvalidValue("purpose", create.purpose, UploadPurposes()));
    }
    default: {
      INFERQ_ASSIGN(create.expires_after, ParseExpiresAfter(value, "expires_after"));
      return {};
    }
  }
}

ApiResult<std::vector<std::string>> ReadPartIds(JsonValue list) {
  INFERQ_TRY(CountElements({}, "part_ids", list, 1, kMaxUploadParts));
  std::vector<std::string> ids;
  for (JsonElements element(list); element.Next();) {
    std::string name = fmt::format("part_ids[{}]", ids.size());
    INFERQ_ASSIGN(std::string id, ReadText({}, name, element.value(), 1, kLongestPartId));
    ids.push_back(std::move(id));
  }
  return ids;
}

ApiResult<std::string> ReadMd5(JsonValue value) {
  INFERQ_ASSIGN(std::string text, ReadText({}, "md5", value, 0, kMaxMimeType));
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  bool hex = text.find_first_not_of("0123456789abcdef") == text.npos;
  if (text.empty() || (hex && text.size() == kMd5Digits)) return text;
  return std::unexpected(
      BadRequest("Invalid 'md5': expected 32 hexadecimal digits.", "md5", "invalid_value"));
}

}  // namespace

ApiResult<UploadCreate> ParseUploadCreate(std::string_view body, uint64_t max_bytes) {
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  UploadCreate create;
  INFERQ_TRY(ReadMembers({}, object, kCreateFields, [&](size_t field, JsonValue value) {
    return ReadCreateField(field, value, max_bytes, create);
  }));
  if (create.bytes == 0) return std::unexpected(MissingParameter("bytes"));
  if (create.filename.empty()) return std::unexpected(MissingParameter("filename"));
  if (create.mime_type.empty()) return std::unexpected(MissingParameter("mime_type"));
  if (create.purpose.empty()) return std::unexpected(MissingParameter("purpose"));
  return create;
}

ApiResult<UploadComplete> ParseUploadComplete(std::string_view body) {
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  UploadComplete complete;
  auto read = [&](size_t field, JsonValue value) -> ApiResult<> {
    if (field == 1 && value.is_null()) return {};
    if (field == 1) {
      INFERQ_ASSIGN(complete.md5, ReadMd5(value));
      return {};
    }
    INFERQ_ASSIGN(complete.part_ids, ReadPartIds(value));
    return {};
  };
  INFERQ_TRY(ReadMembers({}, object, kCompleteFields, read));
  if (complete.part_ids.empty()) return std::unexpected(MissingParameter("part_ids"));
  return complete;
}

std::string UploadJson(const model::UploadRecord& upload,
                       const std::optional<model::FileRecord>& file) {
  return fmt::format(
      R"({{"id":{},"object":"upload","bytes":{},"created_at":{},"expires_at":{},"filename":{},"mime_type":{},"purpose":{},"status":"{}","file":{}}})",
      JsonString(upload.id), upload.bytes, UnixSeconds(upload.created), UnixSeconds(upload.expires),
      JsonString(upload.filename), JsonString(upload.mime_type), JsonString(upload.purpose),
      UploadStatusName(upload.status), file ? FileJson(*file) : "null");
}

std::string PartJson(std::string_view id, std::string_view upload_id, base::WallTime created) {
  return fmt::format(R"({{"id":{},"object":"upload.part","created_at":{},"upload_id":{}}})",
                     JsonString(id), UnixSeconds(created), JsonString(upload_id));
}

}  // namespace inferq::wire
