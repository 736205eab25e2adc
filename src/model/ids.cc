#include "model/ids.h"

#include <fmt/format.h>

#include <charconv>

namespace inferq::model {
namespace {

constexpr std::string_view kTaskPrefix = "task_";
constexpr std::string_view kBatchPrefix = "batch_";

std::optional<uint64_t> ParseHex(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  if (text.size() != 16 || text.find_first_not_of("0123456789abcdef") != text.npos)
    return std::nullopt;
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (value == 0) return std::nullopt;
  return value;
}

}  // namespace

std::string ToString(TaskId id) { return fmt::format("{}{:016x}", kTaskPrefix, id.value); }
std::string ToString(BatchId id) { return fmt::format("{}{:016x}", kBatchPrefix, id.value); }

std::optional<TaskId> ParseTaskId(std::string_view text) {
  return ParseHex(text, kTaskPrefix).transform([](uint64_t value) { return TaskId{value}; });
}

std::optional<BatchId> ParseBatchId(std::string_view text) {
  return ParseHex(text, kBatchPrefix).transform([](uint64_t value) { return BatchId{value}; });
}

}  // namespace inferq::model
