#include "wire/file_object.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace inferq::wire {

namespace {

constexpr std::array<std::string_view, 9> kPurposes = {"assistants",       "batch",
                                                       "fine-tune",        "vision",
                                                       "user_data",        "evals",  // for uploads
                                                       "batch_output",     "fine-tune-results",
                                                       "assistants_output"};
constexpr size_t kUploadPurposes = 6;

constexpr int64_t kSecondsMin = 3600;
constexpr int64_t kSecondsMax = 2'592'000;

std::span<const std::string_view> UploadOnes() {
  return std::span(kPurposes).first(kUploadPurposes);
}

bool IsOneOf(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::string Quoted(std::span<const std::string_view> words) {
  return fmt::format("'{}'", fmt::join(words, "', '"));
}

std::string TimeOrNull(const std::optional<base::WallTime>& time) {
  return time ? std::to_string(UnixSeconds(*time)) : "null";
}

ApiResult<base::Micros> Lifetime(std::string_view anchor, int64_t seconds,
                                 const std::string& anchor_param,
                                 const std::string& seconds_param) {
  if (anchor != "created_at") {
    return std::unexpected(InvalidValue(anchor_param, anchor, "'created_at'"));
  }
  if (seconds < kSecondsMin || seconds > kSecondsMax) {
    return std::unexpected(OutOfBounds(seconds_param, seconds, kSecondsMin, kSecondsMax));
  }
  return std::chrono::seconds(seconds);
}

}  // namespace

bool IsUploadPurpose(std::string_view purpose) { return IsOneOf(UploadOnes(), purpose); }

bool IsFilePurpose(std::string_view purpose) { return IsOneOf(kPurposes, purpose); }

std::string UploadPurposes() { return Quoted(UploadOnes()); }
std::string FilePurposes() { return Quoted(kPurposes); }

std::string FileJson(const model::FileRecord& file) {
  return fmt::format(
      R"({{"id":{},"object":"file","bytes":{},"created_at":{},"expires_at":{},"filename":{},"purpose":{},"status":"processed","status_details":null}})",
      JsonString(file.id), file.bytes, UnixSeconds(file.created), TimeOrNull(file.expires),
      JsonString(file.filename), JsonString(file.purpose));
}

std::string DeletedFileJson(std::string_view id) {
  return fmt::format(R"({{"id":{},"object":"file","deleted":true}})", JsonString(id));
}

std::string ListPage(const std::vector<ListItem>& items, bool has_more) {
  std::string out = R"({"object":"list","data":[)";
  for (const ListItem& item : items) {
    if (&item != &items.front()) out += ',';
    out += item.json;
  }
  std::string first = items.empty() ? "null" : JsonString(items.front().id);
  std::string last = items.empty() ? "null" : JsonString(items.back().id);
  return out +
         fmt::format(R"(],"first_id":{},"last_id":{},"has_more":{}}})", first, last, has_more);
}

ApiResult<base::Micros> ParseExpiresAfter(JsonValue value, std::string_view param) {
  if (value.type() != JsonType::kObject) {
    return std::unexpected(InvalidType(param, "an object", value.type()));
  }
  std::string anchor_param = fmt::format("{}.anchor", param);
  std::string seconds_param = fmt::format("{}.seconds", param);
  auto anchor = value.Find("anchor");
  if (!anchor) return std::unexpected(MissingParameter(anchor_param));
  auto seconds = value.Find("seconds");
  if (!seconds) return std::unexpected(MissingParameter(seconds_param));
  auto word = anchor->AsString();
  if (!word) return std::unexpected(InvalidType(anchor_param, "a string", anchor->type()));
  auto number = seconds->AsInteger();
  if (!number) return std::unexpected(InvalidType(seconds_param, "an integer", seconds->type()));
  return Lifetime(*word, *number, anchor_param, seconds_param);
}

ApiResult<std::optional<base::Micros>> ParseExpiresAfter(const std::optional<std::string>& anchor,
                                                         const std::optional<std::string>& seconds,
                                                         std::string_view param) {
  if (!anchor && !seconds) return std::nullopt;
  std::string anchor_param = fmt::format("{}[anchor]", param);
  std::string seconds_param = fmt::format("{}[seconds]", param);
  if (!anchor) return std::unexpected(MissingParameter(anchor_param));
  if (!seconds) return std::unexpected(MissingParameter(seconds_param));
  int64_t number = 0;
  auto [stop, error] = std::from_chars(seconds->data(), seconds->data() + seconds->size(), number);
  if (error != std::errc{} || stop != seconds->data() + seconds->size()) {
    return std::unexpected(InvalidType(seconds_param, "an integer", JsonType::kString));
  }
  return Lifetime(*anchor, number, anchor_param, seconds_param);
}

int64_t UnixSeconds(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace inferq::wire
