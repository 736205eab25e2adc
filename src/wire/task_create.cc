#include "wire/task_create.h"

#include <algorithm>
#include <charconv>

#include "wire/fields.h"
#include "wire/locality.h"

namespace inferq::wire {

namespace {

constexpr size_t kMaxKeyBytes = 128;
constexpr size_t kMaxModelBytes = 256;
constexpr size_t kMaxParents = 10'000;
constexpr int64_t kMaxAttempts = 100;
constexpr int64_t kMaxCost = 1'000'000'000'000;
constexpr std::string_view kEndpointKey = R"({"endpoint":")";
constexpr std::string_view kBodyKey = R"(","body":)";

constexpr std::array<std::string_view, 13> kFields = {
    "kind",     "payload",    "endpoint",     "body",       "idempotency_key",
    "priority", "not_before", "deadline",     "expires_at", "max_attempts",
    "cost",     "parents",    "parent_policy"};
enum Field : size_t {
  kKind,
  kPayload,
  kEndpoint,
  kBody,
  kKey,
  kPriority,
  kNotBefore,
  kDeadline,
  kExpiresAt,
  kMaxAttemptsField,
  kCost,
  kParents,
  kParentPolicy
};

/// What a task object holds, before its parts are looked at together.
struct Parts {
  std::optional<JsonValue> payload, body;
  std::optional<Endpoint> endpoint;
  bool has_cost = false;
};

ApiResult<std::string> ReadKind(const Place& place, JsonValue value) {
  INFERQ_ASSIGN(std::string kind, ReadText(place, "kind", value, 1, kMaxKindBytes));
  if (IsKind(kind)) return kind;
  return std::unexpected(
      InvalidValue(place.Of("kind"), kind, "letters, digits, '.', '_', '-' and ':'"));
}

ApiResult<Endpoint> ReadEndpoint(const Place& place, JsonValue value) {
  INFERQ_ASSIGN(std::string path, ReadText(place, "endpoint", value, 1, 100));
  if (auto endpoint = ParseEndpoint(path)) return *endpoint;
  return std::unexpected(InvalidValue(place.Of("endpoint"), path, SupportedEndpoints()));
}

ApiResult<model::ParentPolicy> ReadPolicy(const Place& place, JsonValue value) {
  INFERQ_ASSIGN(std::string name, ReadText(place, "parent_policy", value, 1, 100));
  if (name == "all_succeeded") return model::ParentPolicy::kAllSucceeded;
  if (name == "all_terminal") return model::ParentPolicy::kAllTerminal;
  return std::unexpected(
      InvalidValue(place.Of("parent_policy"), name, "'all_succeeded' and 'all_terminal'"));
}

std::optional<uint32_t> ParseIndex(std::string_view text) {
  uint32_t index = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (text.empty() || error != std::errc{} || stop != text.data() + text.size())
    return std::nullopt;
  return index;
}

ApiResult<TaskParent> ReadParent(const Place& place, JsonValue value) {
  auto text = value.AsString();
  if (!text) return std::unexpected(InvalidType(place.Of("parents"), "strings", value.type()));
  if (auto id = model::ParseTaskId(*text)) return TaskParent{.id = *id};
  if (text->starts_with('#')) {
    if (auto index = ParseIndex(std::string_view(*text).substr(1))) {
      return TaskParent{.index = index};
    }
  }
  return std::unexpected(InvalidValue(
      place.Of("parents"), *text, "ids of tasks, and '#0' for the first task of the same call"));
}

ApiResult<> ReadParents(const Place& place, JsonValue value, NewTask& task) {
  INFERQ_ASSIGN(size_t count, CountElements(place, "parents", value, 0, kMaxParents));
  task.parents.reserve(count);
  for (JsonElements element(value); element.Next();) {
    INFERQ_ASSIGN(TaskParent parent, ReadParent(place, element.value()));
    task.parents.push_back(parent);
  }
  return {};
}

ApiResult<> ReadField(const Place& place, size_t field, JsonValue value, NewTask& task,
                      Parts& parts) {
  if (field == kPayload) return parts.payload = value, ApiResult<>();
  if (value.is_null()) return {};
  model::TaskSpec& spec = task.spec;
  switch (field) {
    case kKind: {
      INFERQ_ASSIGN(task.kind, ReadKind(place, value));
      break;
    }
    case kEndpoint: {
      INFERQ_ASSIGN(parts.endpoint, ReadEndpoint(place, value));
      break;
    }
    case kBody:
      parts.body = value;
      break;
    case kKey: {
      INFERQ_ASSIGN(spec.idempotency_key,
                    ReadText(place, "idempotency_key", value, 1, kMaxKeyBytes));
      break;
    }
    case kPriority: {
      INFERQ_ASSIGN(int64_t priority, ReadInteger(place, "priority", value, model::kMinPriority,
                                                  model::kMaxPriority));
      spec.priority = static_cast<int>(priority);
      break;
    }
    case kNotBefore: {
      INFERQ_ASSIGN(spec.not_before, ReadTime(place, "not_before", value));
      break;
    }
    case kDeadline: {
      INFERQ_ASSIGN(spec.deadline, ReadTime(place, "deadline", value));
      break;
    }
    case kExpiresAt: {
      INFERQ_ASSIGN(spec.expires_at, ReadTime(place, "expires_at", value));
      break;
    }
    case kMaxAttemptsField: {
      INFERQ_ASSIGN(int64_t most, ReadInteger(place, "max_attempts", value, 1, kMaxAttempts));
      spec.max_attempts = static_cast<uint32_t>(most);
      break;
    }
    case kCost: {
      INFERQ_ASSIGN(int64_t cost, ReadInteger(place, "cost", value, 1, kMaxCost));
      spec.cost = static_cast<model::TokenCount>(cost);
      parts.has_cost = true;
      break;
    }
    case kParents:
      return ReadParents(place, value, task);
    default: {
      INFERQ_ASSIGN(spec.parent_policy, ReadPolicy(place, value));
      break;
    }
  }
  return {};
}

ApiResult<> RefuseTooLarge(const Place& place, std::string_view field, JsonValue value,
                           size_t max) {
  if (value.text().size() <= max) return {};
  std::string param = place.Of(field);
  return std::unexpected(
      BadRequest(fmt::format("Invalid '{}': it has {} bytes, but at most {} are allowed.", param,
                             value.text().size(), max),
                 param, "value_too_large"));
}

ApiError NotBoth(const Place& place, std::string_view field, std::string_view with) {
  std::string param = place.Of(field);
  return BadRequest(fmt::format("'{}' cannot be given together with '{}'.", param, with), param,
                    "invalid_value");
}

ApiResult<> FinishKind(const Place& place, NewTask& task, const Parts& parts,
                       std::string& payloads) {
  if (parts.endpoint) return std::unexpected(NotBoth(place, "endpoint", "kind"));
  if (parts.body) return std::unexpected(NotBoth(place, "body", "kind"));
  if (!parts.payload) return std::unexpected(MissingParameter(place.Of("payload")));
  INFERQ_TRY(RefuseTooLarge(place, "payload", *parts.payload, kMaxPayloadBytes));
  std::string_view text = parts.payload->text();
  task.spec.payload = {.blob = 0, .offset = payloads.size(), .length = text.size()};
  payloads.append(text);
  return {};
}

ApiResult<> FinishModel(const Place& place, NewTask& task, const Parts& parts,
                        std::string& payloads) {
  if (!parts.endpoint) return std::unexpected(MissingParameter(place.Of("kind")));
  if (parts.payload) return std::unexpected(NotBoth(place, "payload", "endpoint"));
  if (parts.has_cost) return std::unexpected(NotBoth(place, "cost", "endpoint"));
  if (!parts.body) return std::unexpected(MissingParameter(place.Of("body")));
  if (parts.body->type() != JsonType::kObject) {
    return std::unexpected(InvalidType(place.Of("body"), "an object", parts.body->type()));
  }
  INFERQ_TRY(RefuseTooLarge(place, "body", *parts.body, kMaxRequestBytes));
  auto model = parts.body->Find("model");
  if (!model) return std::unexpected(MissingParameter(place.Of("body.model")));
  INFERQ_ASSIGN(task.model, ReadText(place, "body.model", *model, 1, kMaxModelBytes));
  if (auto stream = parts.body->Find("stream"); stream && stream->AsBool().value_or(false)) {
    std::string param = place.Of("body.stream");
    return std::unexpected(
        BadRequest("Streaming is not supported for tasks.", param, "streaming_unsupported"));
  }
  task.request = parts.body;
  std::string stored = StoredRequest(*parts.endpoint, parts.body->text());
  task.spec.payload = {.blob = 0, .offset = payloads.size(), .length = stored.size()};
  payloads += stored;
  return {};
}

int64_t Stamp(std::optional<base::WallTime> time) {
  return time ? time->time_since_epoch().count() : -1;
}

/// Of everything that makes the task what it is, however it was written.
uint64_t HashOf(const NewTask& task, const Parts& parts) {
  const model::TaskSpec& spec = task.spec;
  std::string fields = fmt::format(
      "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", task.kind, task.model,
      parts.endpoint ? EndpointPath(*parts.endpoint) : "", spec.priority, Stamp(spec.not_before),
      Stamp(spec.deadline), Stamp(spec.expires_at), spec.max_attempts, spec.cost,
      static_cast<int>(spec.parent_policy), ContentHash(parts.body ? *parts.body : *parts.payload));
  for (const TaskParent& parent : task.parents) {
    fields +=
        parent.index ? fmt::format("|#{}", *parent.index) : fmt::format("|{}", parent.id.value);
  }
  return HashBytes(fields).low;
}

ApiResult<NewTask> ReadTask(const Place& place, JsonValue value, std::string_view key,
                            std::string& payloads) {
  NewTask task;
  Parts parts;
  INFERQ_TRY(ReadMembers(place, value, kFields, [&](size_t field, JsonValue member) {
    return ReadField(place, field, member, task, parts);
  }));
  INFERQ_TRY(task.kind.empty() ? FinishModel(place, task, parts, payloads)
                               : FinishKind(place, task, parts, payloads));
  std::string& own = task.spec.idempotency_key;
  if (!key.empty() && !own.empty() && own != key) {
    ApiError error = base::Error(base::Code::kAlreadyExists,
                                 "The header Idempotency-Key and 'idempotency_key' differ.");
    error.param = "idempotency_key";
    return std::unexpected(error);
  }
  if (own.empty()) own = key;
  if (!own.empty()) task.spec.content_hash = HashOf(task, parts);
  return task;
}

ApiResult<> CheckKey(std::string_view key) {
  if (key.size() <= kMaxKeyBytes && IsUtf8(key)) return {};
  return std::unexpected(
      BadRequest(fmt::format("The header Idempotency-Key may have at most {} bytes.", kMaxKeyBytes),
                 "Idempotency-Key", "string_above_max_length"));
}

ApiResult<TaskCreate> ReadMany(JsonValue object, std::string_view key) {
  constexpr std::array<std::string_view, 1> kMany = {"tasks"};
  if (!key.empty()) {
    return std::unexpected(BadRequest(
        "The header Idempotency-Key is for a single task; give each its 'idempotency_key'.",
        "Idempotency-Key", "invalid_value"));
  }
  TaskCreate create;
  INFERQ_TRY(ReadMembers({}, object, kMany, [&](size_t, JsonValue list) -> ApiResult<> {
    INFERQ_ASSIGN(size_t count, CountElements({}, "tasks", list, 1, kMaxTasksPerCall));
    create.tasks.reserve(count);
    create.payloads.reserve(list.text().size());
    for (JsonElements element(list); element.Next();) {
      Place place{.name = "tasks", .index = create.tasks.size()};
      INFERQ_ASSIGN(NewTask task, ReadTask(place, element.value(), "", create.payloads));
      create.tasks.push_back(std::move(task));
    }
    return {};
  }));
  return create;
}

/// The first member alone tells: a task has no "tasks".
bool HoldsMany(JsonValue object) { return object.Find("tasks").has_value(); }

ApiResult<JsonValue> ParseObject(std::string_view body) {
  auto parsed = ParseJson(body);
  if (!parsed) {
    return std::unexpected(
        BadRequest("We could not parse the JSON body of your request. " + parsed.error().message(),
                   "", "invalid_json"));
  }
  if (parsed->type() == JsonType::kObject) return *parsed;
  return std::unexpected(
      BadRequest(fmt::format("The request body must be a JSON object, but got {}.",
                             JsonTypeName(parsed->type())),
                 "", "invalid_type"));
}

}  // namespace

bool IsKind(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == ':';
  };
  return !name.empty() && name.size() <= kMaxKindBytes && std::ranges::all_of(name, allowed);
}

ApiResult<TaskCreate> ParseTaskCreate(std::string_view body, std::string_view key) {
  INFERQ_TRY(CheckKey(key));
  INFERQ_ASSIGN(JsonValue object, ParseObject(body));
  if (HoldsMany(object)) return ReadMany(object, key);
  TaskCreate create;
  create.single = true;
  INFERQ_ASSIGN(NewTask task, ReadTask({}, object, key, create.payloads));
  create.tasks.push_back(std::move(task));
  return create;
}

std::string StoredRequest(Endpoint endpoint, std::string_view body) {
  std::string out(kEndpointKey);
  out.reserve(body.size() + kEndpointBytes);
  return out.append(EndpointPath(endpoint)).append(kBodyKey).append(body).append("}");
}

std::optional<Endpoint> StoredEndpoint(std::string_view beginning) {
  if (!beginning.starts_with(kEndpointKey)) return std::nullopt;
  beginning.remove_prefix(kEndpointKey.size());
  return ParseEndpoint(beginning.substr(0, beginning.find('"')));
}

base::Result<ModelRequest> ParseStoredRequest(std::string_view text) {
  auto endpoint = StoredEndpoint(text);
  size_t at = text.find(kBodyKey);
  if (!endpoint || at == text.npos || !text.ends_with('}')) {
    return base::Fail(base::Code::kDataLoss, "a stored request is damaged");
  }
  text.remove_prefix(at + kBodyKey.size());
  text.remove_suffix(1);
  return ModelRequest{.endpoint = *endpoint, .body = std::string(text)};
}

}  // namespace inferq::wire
