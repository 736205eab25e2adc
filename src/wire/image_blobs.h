#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/file.h"
#include "wire/api_error.h"

namespace inferq::wire {

/// Images that are stored apart from the requests that show them. A request names one where the URL
/// of an image stands: {"type":"image_url","image_url":{"url":"blob:sha256:…"}}.
inline constexpr std::string_view kBlobPrefix = "blob:sha256:";

/// "blob:sha256:" and 64 lower-case hexadecimal digits.
bool IsBlobId(std::string_view text);

/// A place in a body where an image is named.
struct BlobReference {
  std::string id;     ///< Begins with kBlobPrefix; not checked further.
  size_t offset = 0;  ///< Of its JSON string in text() of the body, with the quotes.
  size_t length = 0;
};
/// Whether there could be one: a quick look.
bool MayNameBlobs(std::string_view body);
/// In the image parts of `messages` (and of `input`, as the Responses API has them), in order.
std::vector<BlobReference> FindBlobReferences(JsonValue body);

/// "image/png", "image/jpeg", "image/webp", "image/gif", by the first bytes; "": none of these.
std::string_view ImageType(std::string_view bytes);
/// Bytes of the data: URL of an image of `bytes` bytes, at most.
uint64_t DataUrlSize(uint64_t bytes);
/// Appends `"data:image/png;base64,…"`, with its quotes.
void AppendDataUrl(std::string& out, std::string_view image);

/// The object "blob". `blob.id` is the id that clients use.
std::string BlobJson(const model::FileRecord& blob);
std::string DeletedBlobJson(std::string_view id);

}  // namespace inferq::wire
