#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/task.h"
#include "wire/api_error.h"
#include "wire/chat.h"

namespace inferq::wire {

inline constexpr size_t kMaxTasksPerCall = 10'000;
inline constexpr size_t kMaxPayloadBytes = 1u << 20;   ///< Of work for external workers.
inline constexpr size_t kMaxRequestBytes = 32u << 20;  ///< Of a request to a model.
inline constexpr size_t kMaxKindBytes = 128;

/// Whether it can name a kind of work: 1..128 letters, digits, '.', '_', '-', ':'.
bool IsKind(std::string_view name);

/// A parent as a client names it: a task that is there, or one of the same call ("#0").
struct TaskParent {
  model::TaskId id{};
  std::optional<uint32_t> index{};
};

/// A task that a client asks for, checked as far as that needs no other task and no clock.
struct NewTask {
  std::string kind{};                  ///< "": work for a model.
  std::string model{};                 ///< "": work for external workers.
  std::optional<JsonValue> request{};  ///< The body for the model; a view of the call's body.
  std::vector<TaskParent> parents{};
  /// Scheduling fields, key and content hash. `payload` lies in TaskCreate::payloads. Tenant, lane
  /// and parents are not set.
  model::TaskSpec spec{};
};

/// The body of a task's creation, or of many.
struct TaskCreate {
  std::vector<NewTask> tasks{};
  std::string payloads{};  ///< What is stored of all tasks, one behind the other.
  bool single = false;
};

/// Reads one task object or `{"tasks":[…]}`. Unknown fields are refused by name.
/// @param key  of the header Idempotency-Key, "" for none; for a single task only.
/// @return 400; 409 when the header and the body name different keys.
ApiResult<TaskCreate> ParseTaskCreate(std::string_view body, std::string_view key);

/// What a task for a model is stored as, and its parts.
std::string StoredRequest(Endpoint endpoint, std::string_view body);
struct ModelRequest {
  Endpoint endpoint = Endpoint::kChatCompletions;
  std::string body;
};
/// kDataLoss when the text is not what StoredRequest gave.
base::Result<ModelRequest> ParseStoredRequest(std::string_view text);
/// Of the first bytes alone; nullopt: they are not such a text's.
inline constexpr size_t kEndpointBytes = 64;
std::optional<Endpoint> StoredEndpoint(std::string_view beginning);

}  // namespace inferq::wire
