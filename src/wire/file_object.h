#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/file.h"
#include "wire/api_error.h"

namespace inferq::wire {

/// Whether a client may upload files for it.
bool IsUploadPurpose(std::string_view purpose);
/// Whether a file may have it: those for uploads, and those that only we give.
bool IsFilePurpose(std::string_view purpose);
/// For messages: "'assistants', 'batch', …".
std::string UploadPurposes();
std::string FilePurposes();

/// The object "file". What is uploaded is "processed" at once.
std::string FileJson(const model::FileRecord& file);
/// `{"id","object":"file","deleted":true}`
std::string DeletedFileJson(std::string_view id);

struct ListItem {
  std::string id;
  std::string json;
};
/// One page of a list with cursors: `{"object":"list","data","first_id","last_id","has_more"}`.
std::string ListPage(const std::vector<ListItem>& items, bool has_more);

/// A lifetime from creation, `{"anchor":"created_at","seconds":3600..2592000}`. `param` is the
/// field's name, for messages.
ApiResult<base::Micros> ParseExpiresAfter(JsonValue value, std::string_view param);
/// The same from the two fields of a form, which come together or not at all.
ApiResult<std::optional<base::Micros>> ParseExpiresAfter(const std::optional<std::string>& anchor,
                                                         const std::optional<std::string>& seconds,
                                                         std::string_view param);

/// Whole seconds since 1970, as the API tells times.
int64_t UnixSeconds(base::WallTime time);

}  // namespace inferq::wire
