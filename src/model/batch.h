#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"
#include "model/row_input.h"
#include "model/webhook.h"

namespace inferq::model {

// clang-format off
/// Where a batch is in its life (OpenAI's states).
///
///   kValidating ─ bad file ─► kFailed
///     │  │  └── window over ─────────┐
///     │  ▼                           ▼
///     │ kInProgress ─ all ended ─► kFinalizing ─► kCompleted | kExpired (window over)
///     ▼  ▼
///   cancel ─► kCancelling ─► kCancelled
// clang-format on
enum class BatchStatus : uint8_t {
  kValidating,  ///< Its lines are being read.
  kFailed,      ///< A bad file: nothing was run, `errors` lists why.
  kInProgress,  ///< Its lines run.
  kFinalizing,  ///< All have ended; the output files are being written.
  kCompleted,
  kExpired,     ///< The window closed before all lines were run; those that ended are kept.
  kCancelling,  ///< By request; running lines end, then the files are written.
  kCancelled,
};
inline constexpr size_t kBatchStatusCount = 8;

constexpr bool IsTerminal(BatchStatus status) {
  return status == BatchStatus::kFailed || status == BatchStatus::kCompleted ||
         status == BatchStatus::kExpired || status == BatchStatus::kCancelled;
}
/// True when `from` -> `to` is an arrow of the picture above.
bool CanMove(BatchStatus from, BatchStatus to);
/// "validating", "in_progress", …
std::string_view BatchStatusName(BatchStatus status);
std::optional<BatchStatus> ParseBatchStatus(std::string_view name);

/// Why a batch's file is refused, in the words of the Batch API.
struct BatchProblem {
  std::string code;
  std::string message;
  std::string param;             ///< "" is null.
  std::optional<uint64_t> line;  ///< Physical line, from 1; unset: of the whole file.
};

/// Tokens over all lines that succeeded.
struct BatchUsage {
  uint64_t input_tokens = 0;
  uint64_t cached_tokens = 0;  ///< Part of input_tokens.
  /// Part of input_tokens that a perfect prefix cache would have computed; 0: unknown.
  uint64_t distinct_tokens = 0;
  uint64_t output_tokens = 0;
};

/// A batch, as it is stored. Its lines are tasks of the queue with `number` as their batch.
struct BatchRecord {
  std::string id;         ///< "batch_…", opaque outside.
  uint64_t sequence = 0;  ///< Order of creation over all files and batches, from 1.
  BatchId number;         ///< Of its tasks in the queue.
  std::string tenant;
  std::string endpoint;  ///< "/v1/chat/completions"
  std::string input_file_id;
  uint64_t input_blob = 0;  ///< Held by the batch, whatever becomes of the file; 0: no such file.
  RowInput rows;            ///< Where the input held rows: how they become requests.
  std::string completion_window;  ///< "24h"
  std::vector<std::pair<std::string, std::string>> metadata;
  std::optional<base::Micros> output_expires_after;  ///< Lifetime of the output files.
  std::string traceparent;                           ///< Of the request that made it; "" is none.
  std::string idempotency_key;                       ///< While it stands for the batch; "" is none.
  uint64_t content_hash = 0;  ///< Of the parameters; compared for equal keys.

  BatchStatus status = BatchStatus::kValidating;
  std::string model;   ///< Of all its lines; "" when not known, or not the same for all.
  uint64_t lines = 0;  ///< Once validated.
  std::vector<std::string> models;  ///< Of its lines, in the order of the index; once validated.
  uint64_t index_blob = 0;          ///< Where its lines lie (queue/batch_plan.h); 0: none yet.
  uint64_t cost = 0;                ///< Tokens that its lines are expected to take; once validated.
  uint64_t prompt_tokens = 0;       ///< Of them, those of the prompts.
  uint64_t blob_lines = 0;          ///< Lines that name stored images; once validated.
  std::vector<BatchProblem> errors;
  std::string output_file_id;  ///< "" is none.
  std::string error_file_id;
  uint64_t succeeded = 0;                   ///< Lines in the output file; once finalized.
  uint64_t failed = 0;                      ///< Lines that were run and failed; once finalized.
  BatchUsage usage;                         ///< Once finalized.
  std::vector<WebhookDelivery> deliveries;  ///< Of its end; made in the commit that ends it.

  base::WallTime created;
  base::WallTime expires;  ///< created + completion_window.
  std::optional<base::WallTime> in_progress;
  std::optional<base::WallTime> finalizing;
  std::optional<base::WallTime> completed;
  std::optional<base::WallTime> failed_at;
  std::optional<base::WallTime> expired;
  std::optional<base::WallTime> cancelling;
  std::optional<base::WallTime> cancelled;

  int priority = 0;                        ///< Of its lines, [kMinPriority, kMaxPriority].
  std::optional<base::WallTime> deadline;  ///< Of its lines; soft: due work goes first.
  bool paused = false;                     ///< None of its lines starts; while they may.
  bool adjusted = false;   ///< Paused, resumed or edited once: the queue is told again at a start.
  uint64_t version = 1;    ///< Rises with each change that a client can see; the ETag.
  std::string retry_of;    ///< The batch whose failed and expired lines these are; "" is none.
  std::string retried_by;  ///< The newest such batch of this one; "" is none.
  uint64_t retry_lines = 0;  ///< Failed and expired ones; once finalized.
  uint64_t retry_blob = 0;   ///< Their requests, kept as long as the error file; 0: none.
  uint64_t retry_bytes = 0;  ///< Of retry_blob.
};

/// When it came to the final state that it has; nullopt while it lives.
std::optional<base::WallTime> EndedAt(const BatchRecord& batch);

}  // namespace inferq::model
