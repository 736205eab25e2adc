#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/batch.h"
#include "model/row_input.h"
#include "wire/api_error.h"
#include "wire/chat.h"

namespace inferq::wire {

inline constexpr size_t kMaxMetadataPairs = 16;
inline constexpr size_t kMaxMetadataKey = 64;     ///< Characters, not bytes.
inline constexpr size_t kMaxMetadataValue = 512;  ///< The same.
inline constexpr size_t kMaxBatchKey = 128;       ///< Bytes of an idempotency key.

/// The body of a batch's creation, checked. Whether the window is offered is not: the service
/// knows.
struct BatchCreate {
  std::string input_file_id;  ///< "" where `input_lines` stand for a file.
  std::string input_lines{};  ///< Of the parameter `requests` (batch_inline.h).
  model::RowInput rows{};     ///< Where the file holds rows (batch_rows.h).
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string completion_window;
  std::vector<std::pair<std::string, std::string>> metadata{};
  std::optional<base::Micros> output_expires_after{};
  std::string idempotency_key{};             ///< "" is none.
  uint64_t content_hash = 0;                 ///< Of all parameters but the key, as parsed.
  int priority = 0;                          ///< Of inferq, as the next.
  std::optional<base::WallTime> deadline{};  ///< Of its lines.
};
/// Errors are in OpenAI's words, with its codes. Unknown parameters are refused by name: one that
/// is dropped silently could be the one that mattered.
/// @param key  of the header Idempotency-Key, which the parameter idempotency_key stands for as
///             well; "" is none. They must not differ.
ApiResult<BatchCreate> ParseBatchCreate(std::string_view body, std::string_view key = {});

/// The object "metadata" of a batch.
ApiResult<std::vector<std::pair<std::string, std::string>>> ParseMetadata(JsonValue value);

/// Lines that have ended so far.
struct BatchCounts {
  uint64_t total = 0;
  uint64_t completed = 0;
  uint64_t failed = 0;
};
/// The object "batch": every field, null where there is no value. `usage` once it is final.
/// @param more  members behind OpenAI's (batch_extension.h), without the comma before them.
std::string BatchJson(const model::BatchRecord& batch, const BatchCounts& counts,
                      std::string_view more = {});

}  // namespace inferq::wire
