#include "wire/batch_extension.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/task.h"
#include "wire/batch_object.h"
#include "wire/fields.h"
#include "wire/file_object.h"

namespace inferq::wire {

namespace {

// More digits would promise more than an estimate holds.
std::string Rounded(double number) { return JsonNumber(std::round(number * 10) / 10); }
std::string Seconds(base::Micros time) {
  return Rounded(std::chrono::duration<double>(time).count());
}

std::string EstimateJson(const BatchEstimate& estimate) {
  return fmt::format(R"({{"seconds_left":{{"p50":{},"p90":{}}},"finish_at":{},)"
                     R"("basis":{{"ended_lines":{},"window_seconds":{},"tokens_per_second":{}}}}})",
                     Seconds(estimate.p50), Seconds(estimate.p90), UnixSeconds(estimate.finish_at),
                     estimate.ended_lines, Seconds(estimate.window),
                     Rounded(estimate.tokens_per_second));
}

bool IsPaused(const model::BatchRecord& batch) {
  bool may_run = batch.status == model::BatchStatus::kValidating ||
                 batch.status == model::BatchStatus::kInProgress;
  return batch.paused && may_run;
}

}  // namespace

ApiResult<BatchPatch> ParseBatchPatch(std::string_view body) {
  constexpr std::array<std::string_view, 3> kFields = {"priority", "deadline", "metadata"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  BatchPatch patch;
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (field == 0) {
      INFERQ_ASSIGN(int64_t priority,
                    ReadInteger({}, "priority", value, model::kMinPriority, model::kMaxPriority));
      patch.priority = static_cast<int>(priority);
    } else if (field == 1) {
      patch.deadline.emplace();
      if (value.is_null()) return {};
      INFERQ_ASSIGN(*patch.deadline, ReadTime({}, "deadline", value));
    } else {
      patch.metadata.emplace();
      if (value.is_null()) return {};
      INFERQ_ASSIGN(*patch.metadata, ParseMetadata(value));
    }
    return {};
  }));
  if (patch.priority || patch.deadline || patch.metadata) return patch;
  return std::unexpected(MissingParameter("priority"));
}

std::string BatchExtension(const model::BatchRecord& batch,
                           const std::optional<BatchEstimate>& estimate) {
  std::string out =
      fmt::format(R"("paused":{},"priority":{},"deadline":)", IsPaused(batch), batch.priority);
  AppendTimeOrNull(out, batch.deadline);
  out += R"(,"retry_of":)";
  AppendStringOrNull(out, batch.retry_of);
  out += R"(,"retried_by":)";
  AppendStringOrNull(out, batch.retried_by);
  return out + R"(,"estimate":)" + (estimate ? EstimateJson(*estimate) : "null");
}

}  // namespace inferq::wire
