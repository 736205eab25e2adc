#include "wire/batch_object.h"

#include <algorithm>
#include <array>

#include "model/task.h"
#include "wire/batch_inline.h"
#include "wire/batch_rows.h"
#include "wire/fields.h"
#include "wire/file_object.h"
#include "wire/locality.h"

namespace inferq::wire {

namespace {

constexpr std::string_view kKeyParameter = "idempotency_key";
constexpr std::array<std::string_view, 14> kParameters = {"input_file_id",
                                                          "requests",
                                                          "input_format",
                                                          "template",
                                                          "system",
                                                          "model",
                                                          "body",
                                                          "endpoint",
                                                          "completion_window",
                                                          "metadata",
                                                          "output_expires_after",
                                                          "priority",
                                                          "deadline",
                                                          kKeyParameter};

size_t Characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::optional<JsonValue> Given(JsonValue object, std::string_view name) {
  auto value = object.Find(name);
  return value && !value->is_null() ? value : std::nullopt;
}

ApiResult<> RefuseUnknown(JsonValue object) {
  for (JsonMembers member(object); member.Next();) {
    std::string name = member.key();
    if (std::ranges::find(kParameters, name) != kParameters.end()) continue;
    return std::unexpected(
        BadRequest(fmt::format("Unknown parameter: '{}'.", name), name, "unknown_parameter"));
  }
  return {};
}

ApiResult<std::string> RequiredString(JsonValue object, std::string_view name) {
  auto value = Given(object, name);
  if (!value) return std::unexpected(MissingParameter(name));
  if (auto text = value->AsString()) return *std::move(text);
  return std::unexpected(InvalidType(name, "a string", value->type()));
}

ApiResult<Endpoint> ReadEndpoint(JsonValue object) {
  INFERQ_ASSIGN(std::string path, RequiredString(object, "endpoint"));
  if (auto endpoint = ParseEndpoint(path)) return *endpoint;
  return std::unexpected(InvalidValue("endpoint", path, SupportedEndpoints()));
}

// A file, or the requests themselves.
ApiResult<> ReadInput(JsonValue object, BatchCreate& batch) {
  auto requests = Given(object, "requests");
  if (requests && Given(object, "input_file_id")) {
    return std::unexpected(
        BadRequest("Give either 'input_file_id' or 'requests': a batch has one input.", "requests",
                   "mutually_exclusive_parameters"));
  }
  if (!requests) {
    INFERQ_ASSIGN(batch.input_file_id, RequiredString(object, "input_file_id"));
    return {};
  }
  if (!batch.rows.format.empty()) {
    return std::unexpected(BadRequest("'requests' are no rows: 'input_format' is for a file.",
                                      "input_format", "mutually_exclusive_parameters"));
  }
  INFERQ_ASSIGN(batch.input_lines, InlineLines(*requests, EndpointPath(batch.endpoint)));
  return {};
}

ApiError TooLong(const std::string& param, size_t max, size_t got) {
  return BadRequest(
      fmt::format("Invalid '{}': string too long. Expected a string with maximum length {}, but "
                  "got a string with length {} instead.",
                  param, max, got),
      param, "string_above_max_length");
}

ApiResult<std::pair<std::string, std::string>> ReadPair(std::string key, JsonValue value) {
  if (size_t length = Characters(key); length > kMaxMetadataKey) {
    return std::unexpected(
        BadRequest(fmt::format("Invalid 'metadata': a key has {} characters, but at most {} are "
                               "allowed.",
                               length, kMaxMetadataKey),
                   "metadata", "property_name_above_max_length"));
  }
  std::string param = "metadata." + key;
  auto text = value.AsString();
  if (!text) return std::unexpected(InvalidType(param, "a string", value.type()));
  if (size_t length = Characters(*text); length > kMaxMetadataValue) {
    return std::unexpected(TooLong(param, kMaxMetadataValue, length));
  }
  return std::pair(std::move(key), *std::move(text));
}

}  // namespace

ApiResult<std::vector<std::pair<std::string, std::string>>> ParseMetadata(JsonValue value) {
  std::vector<std::pair<std::string, std::string>> metadata;
  if (value.type() != JsonType::kObject) {
    return std::unexpected(InvalidType("metadata", "an object", value.type()));
  }
  if (auto key = RepeatedKey(value)) {
    return std::unexpected(
        BadRequest("Invalid 'metadata': a key occurs twice.", "metadata", "duplicate_parameter"));
  }
  for (JsonMembers member(value); member.Next();) {
    if (metadata.size() == kMaxMetadataPairs) {
      return std::unexpected(
          BadRequest(fmt::format("Invalid 'metadata': too many properties. Expected an object with "
                                 "at most {} properties.",
                                 kMaxMetadataPairs),
                     "metadata", "object_above_max_properties"));
    }
    INFERQ_ASSIGN(auto pair, ReadPair(member.key(), member.value()));
    metadata.push_back(std::move(pair));
  }
  return metadata;
}

namespace {
ApiResult<std::string> ReadKey(JsonValue object, std::string_view header) {
  constexpr std::string_view kHeader = "Idempotency-Key";
  if (header.size() > kMaxBatchKey || !IsUtf8(header)) {
    return std::unexpected(BadRequest(
        fmt::format("The header {} must be UTF-8 of at most {} bytes.", kHeader, kMaxBatchKey),
        kHeader, "invalid_value"));
  }
  auto value = Given(object, kKeyParameter);
  if (!value) return std::string(header);
  INFERQ_ASSIGN(std::string key, ReadText({}, kKeyParameter, *value, 1, kMaxBatchKey));
  if (header.empty() || header == key) return key;
  return std::unexpected(BadRequest(
      fmt::format("The header {} and the parameter '{}' differ: give one of them, or both alike.",
                  kHeader, kKeyParameter),
      kKeyParameter, "invalid_value"));
}

/// Of the parsed values, whatever their order; what is null is not there.
uint64_t HashOf(JsonValue object) {
  uint64_t hash = 0;
  for (JsonMembers member(object); member.Next();) {
    if (member.KeyIs(kKeyParameter) || member.value().is_null()) continue;
    hash += HashBytes(fmt::format("{}:{}", member.key(), ContentHash(member.value()))).low;
  }
  return hash;
}

// Writing.

/// The members of an object, one after the other.
class Members {
 public:
  Members& Raw(std::string_view name, std::string_view json) {
    if (!out_.empty()) out_ += ',';
    AppendJsonString(out_, name);
    out_.append(":").append(json);
    return *this;
  }
  Members& Text(std::string_view name, std::string_view text) {
    return Raw(name, JsonString(text));
  }
  Members& TextOrNull(std::string_view name, std::string_view text) {
    return text.empty() ? Raw(name, "null") : Text(name, text);
  }
  Members& Time(std::string_view name, const std::optional<base::WallTime>& time) {
    return Raw(name, time ? std::to_string(UnixSeconds(*time)) : "null");
  }
  /// Members as they are.
  Members& More(std::string_view members) {
    if (!members.empty()) out_.append(",").append(members);
    return *this;
  }
  std::string Object() const { return "{" + out_ + "}"; }

 private:
  std::string out_;
};

std::string ErrorsJson(const std::vector<model::BatchProblem>& problems) {
  if (problems.empty()) return "null";
  std::string data;
  for (const model::BatchProblem& problem : problems) {
    Members members;
    members.Text("code", problem.code)
        .Text("message", problem.message)
        .TextOrNull("param", problem.param)
        .Raw("line", problem.line ? std::to_string(*problem.line) : "null");
    if (!data.empty()) data += ',';
    data += members.Object();
  }
  return fmt::format(R"({{"object":"list","data":[{}]}})", data);
}

bool IsFinalized(model::BatchStatus status) {
  return model::IsTerminal(status) && status != model::BatchStatus::kFailed;
}

std::string UsageOf(const model::BatchRecord& batch) {
  if (!IsFinalized(batch.status)) return "null";
  const model::BatchUsage& usage = batch.usage;
  const std::string distinct = usage.distinct_tokens == 0
                                   ? ""
                                   : fmt::format(R"(,"distinct_tokens":{})", usage.distinct_tokens);
  return fmt::format(
      R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}{}}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}})",
      usage.input_tokens, usage.cached_tokens, distinct, usage.output_tokens,
      usage.input_tokens + usage.output_tokens);
}

std::string MetadataJson(const std::vector<std::pair<std::string, std::string>>& metadata) {
  if (metadata.empty()) return "null";
  Members members;
  for (const auto& [key, value] : metadata) members.Text(key, value);
  return members.Object();
}

}  // namespace

ApiResult<BatchCreate> ParseBatchCreate(std::string_view body, std::string_view key) {
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  INFERQ_TRY(RefuseUnknown(object));
  BatchCreate batch;
  // The file is asked for first, as clients are used to; requests need to know the endpoint.
  if (!Given(object, "requests")) INFERQ_TRY(ReadInput(object, batch));
  INFERQ_ASSIGN(batch.endpoint, ReadEndpoint(object));
  INFERQ_ASSIGN(batch.completion_window, RequiredString(object, "completion_window"));
  INFERQ_ASSIGN(batch.rows, ReadRowInput(object));
  if (Given(object, "requests")) INFERQ_TRY(ReadInput(object, batch));
  if (auto metadata = Given(object, "metadata")) {
    INFERQ_ASSIGN(batch.metadata, ParseMetadata(*metadata));
  }
  if (auto expiry = Given(object, "output_expires_after")) {
    INFERQ_ASSIGN(batch.output_expires_after, ParseExpiresAfter(*expiry, "output_expires_after"));
  }
  INFERQ_ASSIGN(batch.idempotency_key, ReadKey(object, key));
  batch.content_hash = HashOf(object);
  if (auto priority = Given(object, "priority")) {
    INFERQ_ASSIGN(int64_t given,
                  ReadInteger({}, "priority", *priority, model::kMinPriority, model::kMaxPriority));
    batch.priority = static_cast<int>(given);
  }
  if (auto deadline = Given(object, "deadline")) {
    INFERQ_ASSIGN(batch.deadline, ReadTime({}, "deadline", *deadline));
  }
  return batch;
}

std::string BatchJson(const model::BatchRecord& batch, const BatchCounts& counts,
                      std::string_view more) {
  Members members;
  members.Text("id", batch.id)
      .Text("object", "batch")
      .Text("endpoint", batch.endpoint)
      .TextOrNull("model", batch.model)
      .Raw("errors", ErrorsJson(batch.errors))
      .Text("input_file_id", batch.input_file_id)
      .Text("completion_window", batch.completion_window)
      .Text("status", model::BatchStatusName(batch.status))
      .TextOrNull("output_file_id", batch.output_file_id)
      .TextOrNull("error_file_id", batch.error_file_id)
      .Time("created_at", batch.created)
      .Time("in_progress_at", batch.in_progress)
      .Time("expires_at", batch.expires)
      .Time("finalizing_at", batch.finalizing)
      .Time("completed_at", batch.completed)
      .Time("failed_at", batch.failed_at)
      .Time("expired_at", batch.expired)
      .Time("cancelling_at", batch.cancelling)
      .Time("cancelled_at", batch.cancelled)
      .Raw("request_counts", fmt::format(R"({{"total":{},"completed":{},"failed":{}}})",
                                         counts.total, counts.completed, counts.failed))
      .Raw("usage", UsageOf(batch))
      .Raw("metadata", MetadataJson(batch.metadata))
      .More(more);
  return members.Object();
}

}  // namespace inferq::wire
