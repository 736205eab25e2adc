#include "client/types.h"

#include <algorithm>

namespace inferq::client {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using wire::JsonValue;

std::string TextOf(JsonValue object, std::string_view key) {
  auto value = object.Find(key);
  return value ? value->AsString().value_or("") : "";
}

uint64_t CountOf(JsonValue object, std::string_view key) {
  auto value = object.Find(key);
  return static_cast<uint64_t>(std::max<int64_t>(0, value ? value->AsInteger().value_or(0) : 0));
}

std::optional<base::WallTime> TimeOf(JsonValue object, std::string_view key) {
  constexpr int64_t kYear9999 = 253'402'300'799;
  auto value = object.Find(key);
  auto seconds = value ? value->AsInteger() : std::nullopt;
  if (!seconds || *seconds < 0 || *seconds > kYear9999) return std::nullopt;
  return base::WallTime(std::chrono::seconds(*seconds));
}

std::optional<double> NumberAt(JsonValue object, std::initializer_list<std::string_view> path) {
  std::optional<JsonValue> value = object;
  for (std::string_view key : path) value = value ? value->Find(key) : std::nullopt;
  auto number = value ? value->AsDouble() : std::nullopt;
  return number && *number >= 0 ? number : std::nullopt;
}

Result<std::string> IdOf(JsonValue object, std::string_view what) {
  std::string id = TextOf(object, "id");
  if (!id.empty()) return id;
  return Fail(Code::kUnavailable,
              "the server's answer is no {}: it has no id; check that the address is that of an "
              "OpenAI-compatible API",
              what);
}

std::vector<BatchProblem> ProblemsOf(JsonValue batch) {
  std::vector<BatchProblem> problems;
  auto errors = batch.Find("errors");
  auto data = errors ? errors->Find("data") : std::nullopt;
  if (!data) return problems;
  for (JsonValue entry : data->Elements()) {
    BatchProblem problem{.code = TextOf(entry, "code"),
                         .message = TextOf(entry, "message"),
                         .param = TextOf(entry, "param"),
                         .line = {}};
    if (uint64_t line = CountOf(entry, "line")) problem.line = line;
    problems.push_back(std::move(problem));
  }
  return problems;
}

std::optional<base::WallTime> EndOf(JsonValue batch) {
  for (const char* key : {"completed_at", "failed_at", "expired_at", "cancelled_at"}) {
    if (auto time = TimeOf(batch, key)) return time;
  }
  return std::nullopt;
}

}  // namespace

bool Batch::ended() const {
  return status == "completed" || status == "failed" || status == "expired" ||
         status == "cancelled";
}

Result<File> ParseFile(JsonValue json) {
  INFERQ_ASSIGN(std::string id, IdOf(json, "file"));
  return File{.id = std::move(id),
              .filename = TextOf(json, "filename"),
              .purpose = TextOf(json, "purpose"),
              .bytes = CountOf(json, "bytes"),
              .created = TimeOf(json, "created_at"),
              .expires = TimeOf(json, "expires_at"),
              .json = wire::CompactJson(json)};
}

Result<Batch> ParseBatch(JsonValue json) {
  INFERQ_ASSIGN(std::string id, IdOf(json, "batch"));
  Batch batch{.id = std::move(id),
              .status = TextOf(json, "status"),
              .endpoint = TextOf(json, "endpoint"),
              .model = TextOf(json, "model"),
              .input_file_id = TextOf(json, "input_file_id"),
              .output_file_id = TextOf(json, "output_file_id"),
              .error_file_id = TextOf(json, "error_file_id")};
  if (batch.status.empty()) {
    return Fail(Code::kUnavailable, "the server's answer for batch {} has no status", batch.id);
  }
  if (auto counts = json.Find("request_counts")) {
    batch.counts = {.total = CountOf(*counts, "total"),
                    .completed = CountOf(*counts, "completed"),
                    .failed = CountOf(*counts, "failed")};
  }
  if (auto usage = json.Find("usage")) {
    batch.input_tokens = CountOf(*usage, "input_tokens");
    batch.output_tokens = CountOf(*usage, "output_tokens");
  }
  batch.problems = ProblemsOf(json);
  batch.created = TimeOf(json, "created_at");
  batch.started = TimeOf(json, "in_progress_at");
  batch.expires = TimeOf(json, "expires_at");
  batch.ended_at = EndOf(json);
  if (auto paused = json.Find("paused")) batch.paused = paused->AsBool().value_or(false);
  batch.retry_of = TextOf(json, "retry_of");
  batch.seconds_left = NumberAt(json, {"estimate", "seconds_left", "p50"});
  batch.seconds_left_p90 = NumberAt(json, {"estimate", "seconds_left", "p90"});
  batch.json = wire::CompactJson(json);
  return batch;
}

}  // namespace inferq::client
