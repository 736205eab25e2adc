#include "wire/image_blobs.h"

#include <algorithm>

#include "wire/file_object.h"

namespace inferq::wire {

namespace {

constexpr size_t kDigits = 64;
constexpr size_t kLongestType = 10;  // "image/jpeg"

// The string that names the image of a part; nullopt: it shows none that is named by a URL.
std::optional<JsonValue> UrlOf(JsonValue part) {
  auto image = part.Find("image_url");
  return image && image->type() == JsonType::kObject ? image->Find("url") : image;
}

void AddPart(JsonValue body, JsonValue part, std::vector<BlobReference>& found) {
  auto url = UrlOf(part);
  auto text = url ? url->AsString() : std::nullopt;
  if (!text || !text->starts_with(kBlobPrefix)) return;
  found.push_back({.id = *std::move(text),
                   .offset = static_cast<size_t>(url->text().data() - body.text().data()),
                   .length = url->text().size()});
}

void AppendBase64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j)
      out.push_back(j <= count ? kAlphabet[group >> (18 - 6 * j) & 63] : '=');
  }
}

}  // namespace

bool IsBlobId(std::string_view text) {
  if (!text.starts_with(kBlobPrefix)) return false;
  text.remove_prefix(kBlobPrefix.size());
  return text.size() == kDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// An escape could hide it from a search for the whole; nobody writes "blob" with one, and who does
// names nothing.
bool MayNameBlobs(std::string_view body) { return body.find(kBlobPrefix) != body.npos; }

std::vector<BlobReference> FindBlobReferences(JsonValue body) {
  std::vector<BlobReference> found;
  for (std::string_view list : {"messages", "input"}) {
    auto messages = body.Find(list);
    if (!messages) continue;
    for (JsonElements message(*messages); message.Next();) {
      auto content = message.value().Find("content");
      if (!content) continue;
      for (JsonElements part(*content); part.Next();) AddPart(body, part.value(), found);
    }
  }
  return found;
}

std::string_view ImageType(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return "image/png";
  if (bytes.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return "image/gif";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  return "";
}

uint64_t DataUrlSize(uint64_t bytes) {
  constexpr std::string_view kAround = "\"data:;base64,\"";
  return kAround.size() + kLongestType + (bytes + 2) / 3 * 4;
}

void AppendDataUrl(std::string& out, std::string_view image) {
  out.append("\"data:").append(ImageType(image)).append(";base64,");
  AppendBase64(out, image);
  out.push_back('"');
}

std::string BlobJson(const model::FileRecord& blob) {
  return fmt::format(R"({{"id":{},"object":"blob","bytes":{},"created":{}}})", JsonString(blob.id),
                     blob.bytes, UnixSeconds(blob.created));
}

std::string DeletedBlobJson(std::string_view id) {
  return fmt::format(R"({{"id":{},"object":"blob","deleted":true}})", JsonString(id));
}

}  // namespace inferq::wire
