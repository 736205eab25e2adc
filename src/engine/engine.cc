#include "engine/engine.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace inferq::engine {
namespace {

constexpr std::array<std::pair<FinishReason, std::string_view>, 5> kFinishReasons{{
    {FinishReason::kStop, "stop"},
    {FinishReason::kLength, "length"},
    {FinishReason::kToolCalls, "tool_calls"},
    {FinishReason::kContentFilter, "content_filter"},
    {FinishReason::kCancelled, "cancelled"},
}};

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  for (const auto& [value, name] : kFinishReasons) {
    if (value == reason) return name;
  }
  return "unknown";
}

std::optional<FinishReason> ParseFinishReason(std::string_view name) {
  for (const auto& [value, known] : kFinishReasons) {
    if (known == name) return value;
  }
  return std::nullopt;
}

Awaitable<base::Result<Delta>> Collect(Generation& generation) {
  Delta whole;
  while (!whole.finish_reason) {
    INFERQ_CO_ASSIGN(Delta next, co_await generation.Next());
    whole.text += next.text;
    whole.tokens += next.tokens;
    whole.finish_reason = next.finish_reason;
    whole.usage = next.usage;
    if (!next.raw_response.empty()) whole.raw_response = std::move(next.raw_response);
    std::ranges::move(next.raw_chunks, std::back_inserter(whole.raw_chunks));
  }
  co_return whole;
}

}  // namespace inferq::engine
