#include "queue/local/spec_check.h"

#include "model/task.h"

namespace inferq::queue {

using base::Code;

namespace {

constexpr size_t kMaxTenantBytes = 128;
constexpr size_t kMaxLaneBytes = 256;
constexpr size_t kMaxKeyBytes = 128;
constexpr size_t kTraceparentBytes = 55;
// Keys of the order are microseconds below 2^53, the year 2255, after subtracting what priority is
// worth.
constexpr base::WallTime kMaxTime{std::chrono::sys_days{std::chrono::year{2200} / 1 / 1}};

base::Result<> CheckSize(std::string_view field, std::string_view value, size_t min, size_t max) {
  if (value.size() >= min && value.size() <= max && value.find('\0') == value.npos) return {};
  return std::unexpected(WrongField(
      field, fmt::format("must have {} to {} bytes without NUL, not {}", min, max, value.size())));
}

}  // namespace

base::Error WrongField(std::string_view field, std::string_view message) {
  return base::Error(Code::kInvalidArgument, fmt::format("{} {}", field, message))
      .WithParam(std::string(field));
}

base::Result<> CheckTenantName(std::string_view tenant) {
  return CheckSize("tenant", tenant, 1, kMaxTenantBytes);
}

base::Result<> CheckLaneName(std::string_view lane) {
  return CheckSize("lane", lane, 1, kMaxLaneBytes);
}

base::Result<> CheckIdempotencyKey(std::string_view key) {
  return CheckSize("idempotency_key", key, 0, kMaxKeyBytes);
}

base::Result<> CheckTraceparent(std::string_view traceparent) {
  if (traceparent.empty()) return {};
  return CheckSize("traceparent", traceparent, kTraceparentBytes, kTraceparentBytes);
}

base::Result<> CheckPriority(int priority) {
  if (priority >= model::kMinPriority && priority <= model::kMaxPriority) return {};
  return std::unexpected(
      WrongField("priority", fmt::format("must be in [{}, {}], not {}", model::kMinPriority,
                                         model::kMaxPriority, priority)));
}

base::Result<> CheckTime(std::string_view field, std::optional<base::WallTime> time,
                         base::WallTime after) {
  if (!time || (*time > after && *time < kMaxTime)) return {};
  if (*time >= kMaxTime) return std::unexpected(WrongField(field, "must be before the year 2200"));
  return std::unexpected(WrongField(field, "must be in the future"));
}

}  // namespace inferq::queue
