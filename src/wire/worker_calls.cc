#include "wire/worker_calls.h"

#include <algorithm>
#include <charconv>

#include "wire/fields.h"
#include "wire/task_create.h"
#include "wire/task_object.h"

namespace inferq::wire {

using namespace std::chrono_literals;

namespace {

constexpr base::Micros kMinLease = 1s;
constexpr base::Micros kMaxLease = 1h;
constexpr base::Micros kMaxWait = 60s;
constexpr int64_t kMost = int64_t{1} << 53;  // the largest number that JavaScript has exactly
constexpr size_t kMaxVersionBytes = 128;
constexpr size_t kMaxCodeBytes = 128;
constexpr size_t kMaxMessageBytes = 16u << 10;
constexpr std::string_view kDefaultCode = "worker_error";

ApiResult<std::string> ReadWorker(const Place& place, JsonValue value) {
  return ReadText(place, "worker", value, 1, kMaxWorkerBytes);
}

ApiResult<base::Micros> ReadLease(JsonValue value) {
  return ReadSeconds({}, "lease_seconds", value, kMinLease, kMaxLease);
}

ApiResult<model::Fence> ReadFence(const Place& place, JsonValue value) {
  if (value.type() != JsonType::kString) {
    return std::unexpected(InvalidType(place.Of("fence"), "a string of digits", value.type()));
  }
  std::string_view digits = value.text().substr(1, value.text().size() - 2);
  model::Fence fence;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), fence.value);
  if (!digits.empty() && error == std::errc{} && stop == digits.data() + digits.size()) {
    return fence;
  }
  return std::unexpected(InvalidValue(place.Of("fence"), digits, "the fences of claimed tasks"));
}

/// The fields "id" (0) and "fence" (1), which every item has.
ApiResult<> ReadHeld(const Place& place, size_t field, JsonValue value, HeldTask& task) {
  if (field == 0) {
    INFERQ_ASSIGN(task.id, ReadTaskId(place, "id", value));
  } else {
    INFERQ_ASSIGN(task.fence, ReadFence(place, value));
  }
  return {};
}

ApiResult<> RequireHeld(const Place& place, const HeldTask& task) {
  if (!task.id) return std::unexpected(MissingParameter(place.Of("id")));
  if (!task.fence) return std::unexpected(MissingParameter(place.Of("fence")));
  return {};
}

ApiResult<> RequireWorker(const std::string& worker) {
  if (!worker.empty()) return {};
  return std::unexpected(MissingParameter("worker"));
}

const HeldTask& HeldOf(const HeldTask& task) { return task; }
template <class Item>
const HeldTask& HeldOf(const Item& item) {
  return item.task;
}

template <class Item>
ApiResult<> RefuseRepeated(const std::vector<Item>& items) {
  std::vector<std::pair<model::TaskId, size_t>> ids;
  ids.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) ids.emplace_back(HeldOf(items[i]).id, i);
  std::ranges::sort(ids);
  auto twice = std::ranges::adjacent_find(ids, {}, [](const auto& each) { return each.first; });
  if (twice == ids.end()) return {};
  Place place{.name = "tasks", .index = std::next(twice)->second};
  return std::unexpected(
      BadRequest(fmt::format("{} occurs twice in this call.", ToString(twice->first)),
                 place.Of("id"), "duplicate_parameter"));
}

/// Reads the list "tasks": `read(place, value, item)` for each.
template <class Item, class Read>
ApiResult<> ReadItems(JsonValue list, size_t min, size_t max, std::vector<Item>& items, Read read) {
  INFERQ_ASSIGN(size_t count, CountElements({}, "tasks", list, min, max));
  items.reserve(count);
  for (JsonElements element(list); element.Next();) {
    Place place{.name = "tasks", .index = items.size()};
    items.emplace_back();
    INFERQ_TRY(read(place, element.value(), items.back()));
    INFERQ_TRY(RequireHeld(place, HeldOf(items.back())));
  }
  return RefuseRepeated(items);
}

template <class Item>
ApiResult<> RequireTasks(const std::vector<Item>& items) {
  if (!items.empty()) return {};
  return std::unexpected(MissingParameter("tasks"));
}

ApiResult<> ReadHeldOnly(const Place& place, JsonValue value, HeldTask& task) {
  constexpr std::array<std::string_view, 2> kFields = {"id", "fence"};
  return ReadMembers(place, value, kFields, [&](size_t field, JsonValue member) {
    return ReadHeld(place, field, member, task);
  });
}

// Claim.

constexpr std::array<std::string_view, 6> kClaimFields = {
    "worker", "kinds", "max_tasks", "token_budget", "lease_seconds", "wait_seconds"};

ApiResult<> ReadKinds(const Place& place, JsonValue value, std::vector<std::string>& kinds) {
  INFERQ_TRY(CountElements(place, "kinds", value, 1, kMaxKindsPerClaim));
  for (JsonElements element(value); element.Next();) {
    INFERQ_ASSIGN(std::string kind, ReadText(place, "kinds", element.value(), 1, kMaxKindBytes));
    if (!IsKind(kind)) {
      return std::unexpected(
          InvalidValue(place.Of("kinds"), kind, "letters, digits, '.', '_', '-' and ':'"));
    }
    kinds.push_back(std::move(kind));
  }
  return {};
}

ApiResult<> ReadClaimField(const Place& place, size_t field, JsonValue value, WorkerClaim& claim) {
  if (value.is_null()) return {};
  switch (field) {
    case 0: {
      INFERQ_ASSIGN(claim.worker, ReadWorker(place, value));
      break;
    }
    case 1:
      return ReadKinds(place, value, claim.kinds);
    case 2: {
      INFERQ_ASSIGN(int64_t most, ReadInteger(place, "max_tasks", value, 1, kMaxWorkerTasks));
      claim.max_tasks = static_cast<uint32_t>(most);
      break;
    }
    case 3: {
      INFERQ_ASSIGN(int64_t budget, ReadInteger(place, "token_budget", value, 1, kMost));
      claim.token_budget = static_cast<model::TokenCount>(budget);
      break;
    }
    case 4: {
      INFERQ_ASSIGN(claim.lease, ReadSeconds(place, "lease_seconds", value, kMinLease, kMaxLease));
      break;
    }
    default: {
      INFERQ_ASSIGN(claim.wait, ReadSeconds(place, "wait_seconds", value, 0s, kMaxWait));
      break;
    }
  }
  return {};
}

ApiResult<WorkerClaim> ReadClaim(const Place& place, JsonValue object) {
  WorkerClaim claim;
  INFERQ_TRY(ReadMembers(place, object, kClaimFields, [&](size_t field, JsonValue value) {
    return ReadClaimField(place, field, value, claim);
  }));
  if (claim.kinds.empty()) return std::unexpected(MissingParameter(place.Of("kinds")));
  return claim;
}

// Complete.

ApiResult<> ReadCompletion(const Place& place, JsonValue value, WorkerCompletion& item,
                           std::string& results) {
  constexpr std::array<std::string_view, 4> kFields = {"id", "fence", "result", "cost"};
  bool has_result = false;
  INFERQ_TRY(ReadMembers(place, value, kFields, [&](size_t field, JsonValue member) -> ApiResult<> {
    if (field < 2) return ReadHeld(place, field, member, item.task);
    if (field == 3) {
      if (member.is_null()) return {};
      INFERQ_ASSIGN(int64_t cost, ReadInteger(place, "cost", member, 0, kMost));
      item.cost = static_cast<model::TokenCount>(cost);
      return {};
    }
    std::string_view text = member.text();
    if (text.size() > kMaxResultBytes) {
      std::string param = place.Of("result");
      return std::unexpected(
          BadRequest(fmt::format("Invalid '{}': it has {} bytes, but at most {} are allowed.",
                                 param, text.size(), kMaxResultBytes),
                     param, "value_too_large"));
    }
    has_result = true;
    item.result = {.offset = results.size(), .length = text.size()};
    results.append(text);
    return {};
  }));
  if (has_result) return {};
  return std::unexpected(MissingParameter(place.Of("result")));
}

ApiResult<> FinishComplete(CompleteCall& call) {
  INFERQ_TRY(RequireWorker(call.worker));
  INFERQ_TRY(RequireTasks(call.tasks));
  if (!call.claim) return {};
  if (call.claim->worker.empty()) call.claim->worker = call.worker;
  if (call.claim->worker == call.worker) return {};
  return std::unexpected(
      BadRequest("'claim.worker' differs from 'worker'.", "claim.worker", "invalid_value"));
}

// Fail.

struct ErrorText {
  std::string code{kDefaultCode};
  std::string message{};
};

ApiResult<ErrorText> ReadError(const Place& place, JsonValue value) {
  constexpr std::array<std::string_view, 2> kFields = {"code", "message"};
  std::string at = place.Of("error");
  Place inside{.name = at};
  ErrorText error;
  INFERQ_TRY(
      ReadMembers(inside, value, kFields, [&](size_t field, JsonValue member) -> ApiResult<> {
        if (field == 0 && member.is_null()) return {};
        if (field == 0) {
          INFERQ_ASSIGN(error.code, ReadText(inside, "code", member, 1, kMaxCodeBytes));
        } else {
          INFERQ_ASSIGN(error.message, ReadText(inside, "message", member, 1, kMaxMessageBytes));
        }
        return {};
      }));
  if (error.message.empty()) return std::unexpected(MissingParameter(inside.Of("message")));
  return error;
}

ApiResult<> ReadFailure(const Place& place, JsonValue value, WorkerFailure& item,
                        std::string& errors) {
  constexpr std::array<std::string_view, 5> kFields = {"id", "fence", "error", "retryable",
                                                       "crashed"};
  INFERQ_TRY(ReadMembers(place, value, kFields, [&](size_t field, JsonValue member) -> ApiResult<> {
    if (field < 2) return ReadHeld(place, field, member, item.task);
    if (field == 2) {
      INFERQ_ASSIGN(ErrorText error, ReadError(place, member));
      std::string json = TaskErrorJson(error.code, error.message);
      item.error = {.offset = errors.size(), .length = json.size()};
      errors += json;
      item.message = std::move(error.message);
      return {};
    }
    if (member.is_null()) return {};
    INFERQ_ASSIGN((field == 3 ? item.retryable : item.crashed),
                  ReadFlag(place, kFields[field], member));
    return {};
  }));
  if (item.error.length > 0) return {};
  return std::unexpected(MissingParameter(place.Of("error")));
}

// Heartbeat.

ApiResult<WorkerLoad> ReadLoad(JsonValue value) {
  constexpr std::array<std::string_view, 3> kFields = {"cpu", "memory_bytes", "pending"};
  constexpr Place kPlace{.name = "load"};
  WorkerLoad load;
  INFERQ_TRY(
      ReadMembers(kPlace, value, kFields, [&](size_t field, JsonValue member) -> ApiResult<> {
        if (member.is_null()) return {};
        if (field == 0) {
          auto cpu = member.AsDouble();
          if (!cpu || *cpu < 0) {
            return std::unexpected(InvalidType("load.cpu", "a number >= 0", member.type()));
          }
          load.cpu = *cpu;
          return {};
        }
        INFERQ_ASSIGN(int64_t number, ReadInteger(kPlace, kFields[field], member, 0, kMost));
        (field == 1 ? load.memory_bytes : load.pending) = static_cast<uint64_t>(number);
        return {};
      }));
  return load;
}

ApiResult<> ReadHeartbeatField(size_t field, JsonValue value, HeartbeatCall& call) {
  if (value.is_null()) return {};
  switch (field) {
    case 0: {
      INFERQ_ASSIGN(call.worker, ReadWorker({}, value));
      break;
    }
    case 1: {
      INFERQ_ASSIGN(call.version, ReadText({}, "version", value, 0, kMaxVersionBytes));
      break;
    }
    case 2: {
      INFERQ_ASSIGN(int64_t capacity, ReadInteger({}, "capacity", value, 0, kMost));
      call.capacity = static_cast<uint64_t>(capacity);
      break;
    }
    case 3: {
      INFERQ_ASSIGN(call.load, ReadLoad(value));
      break;
    }
    case 4: {
      INFERQ_ASSIGN(call.lease, ReadLease(value));
      break;
    }
    default:
      return ReadItems(value, 0, kMaxHeldTasks, call.tasks, ReadHeldOnly);
  }
  return {};
}

}  // namespace

ApiResult<WorkerClaim> ParseClaim(std::string_view body) {
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  INFERQ_ASSIGN(WorkerClaim claim, ReadClaim({}, object));
  INFERQ_TRY(RequireWorker(claim.worker));
  return claim;
}

ApiResult<RenewCall> ParseRenew(std::string_view body) {
  constexpr std::array<std::string_view, 3> kFields = {"worker", "lease_seconds", "tasks"};
  constexpr std::array<std::string_view, 3> kItem = {"id", "fence", "checkpoint"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  RenewCall call;
  auto read = [&](const Place& place, JsonValue value, WorkerRenewal& item) {
    return ReadMembers(place, value, kItem, [&](size_t field, JsonValue member) -> ApiResult<> {
      if (field < 2) return ReadHeld(place, field, member, item.task);
      if (member.is_null()) return {};
      INFERQ_ASSIGN(item.checkpoint, ReadText(place, "checkpoint", member, 0, kMaxCheckpointBytes));
      return {};
    });
  };
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (value.is_null()) return {};
    if (field == 2) return ReadItems(value, 1, kMaxWorkerTasks, call.tasks, read);
    if (field == 0) {
      INFERQ_ASSIGN(call.worker, ReadWorker({}, value));
    } else {
      INFERQ_ASSIGN(call.lease, ReadLease(value));
    }
    return {};
  }));
  INFERQ_TRY(RequireWorker(call.worker));
  INFERQ_TRY(RequireTasks(call.tasks));
  return call;
}

ApiResult<CompleteCall> ParseComplete(std::string_view body) {
  constexpr std::array<std::string_view, 3> kFields = {"worker", "tasks", "claim"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  CompleteCall call;
  auto read = [&](const Place& place, JsonValue value, WorkerCompletion& item) {
    return ReadCompletion(place, value, item, call.results);
  };
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (value.is_null()) return {};
    if (field == 1) return ReadItems(value, 1, kMaxWorkerTasks, call.tasks, read);
    if (field == 0) {
      INFERQ_ASSIGN(call.worker, ReadWorker({}, value));
    } else {
      INFERQ_ASSIGN(call.claim, ReadClaim({.name = "claim"}, value));
    }
    return {};
  }));
  INFERQ_TRY(FinishComplete(call));
  return call;
}

ApiResult<FailCall> ParseFail(std::string_view body) {
  constexpr std::array<std::string_view, 2> kFields = {"worker", "tasks"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  FailCall call;
  auto read = [&](const Place& place, JsonValue value, WorkerFailure& item) {
    return ReadFailure(place, value, item, call.errors);
  };
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (value.is_null()) return {};
    if (field == 1) return ReadItems(value, 1, kMaxWorkerTasks, call.tasks, read);
    INFERQ_ASSIGN(call.worker, ReadWorker({}, value));
    return {};
  }));
  INFERQ_TRY(RequireWorker(call.worker));
  INFERQ_TRY(RequireTasks(call.tasks));
  return call;
}

ApiResult<ReleaseCall> ParseRelease(std::string_view body) {
  constexpr std::array<std::string_view, 2> kFields = {"worker", "tasks"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  ReleaseCall call;
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (value.is_null()) return {};
    if (field == 1) return ReadItems(value, 1, kMaxWorkerTasks, call.tasks, ReadHeldOnly);
    INFERQ_ASSIGN(call.worker, ReadWorker({}, value));
    return {};
  }));
  INFERQ_TRY(RequireWorker(call.worker));
  INFERQ_TRY(RequireTasks(call.tasks));
  return call;
}

ApiResult<HeartbeatCall> ParseHeartbeat(std::string_view body) {
  constexpr std::array<std::string_view, 6> kFields = {"worker", "version",       "capacity",
                                                       "load",   "lease_seconds", "tasks"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  HeartbeatCall call;
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) {
    return ReadHeartbeatField(field, value, call);
  }));
  INFERQ_TRY(RequireWorker(call.worker));
  return call;
}

}  // namespace inferq::wire
