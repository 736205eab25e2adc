#include "wire/task_object.h"

#include <charconv>

#include "wire/fields.h"
#include "wire/task_create.h"

namespace inferq::wire {

using model::State;

namespace {

void AppendNumber(std::string& out, std::string_view head, uint64_t number) {
  out.append(head);
  fmt::format_to(std::back_inserter(out), "{}", number);
}

void AppendParents(std::string& out, const std::vector<model::TaskId>& parents) {
  out += '[';
  for (model::TaskId parent : parents) {
    if (out.back() != '[') out += ',';
    out.append("\"").append(ToString(parent)).append("\"");
  }
  out += ']';
}

void AppendTarget(std::string& out, const TaskObject& task) {
  if (!task.kind.empty()) {
    out += R"(,"kind":)";
    return AppendJsonString(out, task.kind);
  }
  out += R"(,"endpoint":)";
  AppendStringOrNull(out, task.endpoint);
  out += R"(,"model":)";
  AppendJsonString(out, task.model);
}

void AppendLease(std::string& out, const model::TaskRecord& record) {
  if (!record.lease) {
    out += R"(,"lease":null)";
    return;
  }
  out += R"(,"lease":{"worker":)";
  AppendJsonString(out, record.lease->worker);
  out += '}';
}

/// A stored ending is a result, or what the worker said of its failure.
void AppendEnding(std::string& out, const TaskObject& task) {
  State state = task.record.state;
  bool failed = IsTerminal(state) && state != State::kSucceeded;
  bool own_error = failed && !task.ending.empty() && !task.record.spec.batch;
  bool has_result = !task.ending.empty() && !own_error;
  out.append(R"(,"result":)").append(has_result ? task.ending : "null");
  out += R"(,"error":)";
  if (!failed) {
    out += "null";
  } else if (own_error) {
    out += task.ending;
  } else {
    const model::Outcome& outcome = task.record.outcome;
    out += TaskErrorJson(base::CodeName(outcome.code), outcome.message);
  }
}

std::optional<model::Version> ParseVersion(std::string_view text) {
  model::Version version = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return version;
}

}  // namespace

void AppendTask(std::string& out, const TaskObject& task) {
  const model::TaskRecord& record = task.record;
  const model::TaskSpec& spec = record.spec;
  out.append(R"({"id":")").append(ToString(record.id)).append(R"(","object":"task")");
  AppendTarget(out, task);
  out.append(R"(,"status":")").append(StateName(record.state)).append("\"");
  AppendNumber(out, R"(,"version":)", record.version);
  AppendNumber(out, R"(,"generation":)", record.generation);
  fmt::format_to(std::back_inserter(out), R"(,"priority":{})", spec.priority);
  AppendNumber(out, R"(,"attempts":)", record.attempts);
  AppendNumber(out, R"(,"max_attempts":)", spec.max_attempts);
  out += R"(,"created_at":)";
  AppendTime(out, record.submitted);
  out += R"(,"not_before":)";
  AppendTimeOrNull(out, spec.not_before);
  out += R"(,"deadline":)";
  AppendTimeOrNull(out, spec.deadline);
  out += R"(,"expires_at":)";
  AppendTimeOrNull(out, spec.expires_at);
  out += R"(,"parents":)";
  AppendParents(out, spec.parents);
  out += R"(,"batch_id":)";
  AppendStringOrNull(out, task.batch_id);
  AppendLease(out, record);
  AppendEnding(out, task);
  out += '}';
}

std::string CreatedTasksJson(const std::vector<model::TaskId>& ids) {
  constexpr size_t kBytesEach = 32;
  std::string out;
  out.reserve(ids.size() * kBytesEach + kBytesEach);
  out += R"({"object":"list","data":[)";
  for (model::TaskId id : ids) {
    if (out.back() != '[') out += ',';
    out.append(R"({"id":")").append(ToString(id)).append("\"}");
  }
  return out += "]}";
}

std::string TaskListJson(const std::vector<TaskObject>& tasks, bool has_more) {
  std::string out = R"({"object":"list","data":[)";
  for (const TaskObject& task : tasks) {
    if (out.back() != '[') out += ',';
    AppendTask(out, task);
  }
  out += R"(],"first_id":)";
  AppendStringOrNull(out, tasks.empty() ? "" : ToString(tasks.front().record.id));
  out += R"(,"last_id":)";
  AppendStringOrNull(out, tasks.empty() ? "" : ToString(tasks.back().record.id));
  return out += has_more ? R"(,"has_more":true})" : R"(,"has_more":false})";
}

std::string TaskErrorJson(std::string_view code, std::string_view message) {
  std::string out = R"({"code":)";
  AppendJsonString(out, code);
  out += R"(,"message":)";
  AppendJsonString(out, message);
  return out += '}';
}

ApiResult<TaskPatch> ParseTaskPatch(std::string_view body) {
  constexpr std::array<std::string_view, 2> kFields = {"priority", "deadline"};
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  TaskPatch patch;
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    if (field == 0) {
      INFERQ_ASSIGN(int64_t priority,
                    ReadInteger({}, "priority", value, model::kMinPriority, model::kMaxPriority));
      patch.priority = static_cast<int>(priority);
    } else if (value.is_null()) {
      patch.deadline.emplace();
    } else {
      INFERQ_ASSIGN(base::WallTime deadline, ReadTime({}, "deadline", value));
      patch.deadline.emplace(deadline);
    }
    return {};
  }));
  if (patch.priority || patch.deadline) return patch;
  return std::unexpected(MissingParameter("priority"));
}

ApiResult<TaskSelection> ParseTaskSelection(std::string_view body) {
  constexpr std::array<std::string_view, 2> kFields = {"status", "kind"};
  constexpr size_t kLongest = 128;
  INFERQ_ASSIGN(JsonValue object, ParseBodyObject(body));
  TaskSelection chosen;
  INFERQ_TRY(ReadMembers({}, object, kFields, [&](size_t field, JsonValue value) -> ApiResult<> {
    INFERQ_ASSIGN(std::string text, ReadText({}, kFields[field], value, 1, kLongest));
    if (field == 0) {
      INFERQ_ASSIGN(chosen.status, ParseStatus(text, "status"));
    } else {
      chosen.kind = std::move(text);
    }
    return {};
  }));
  if (chosen.status || !chosen.kind.empty()) return chosen;
  return std::unexpected(
      BadRequest("Say which tasks: 'status' or 'kind'.", "status", "missing_required_parameter"));
}

ApiResult<State> ParseStatus(std::string_view name, std::string_view param) {
  if (auto state = model::ParseState(name)) return *state;
  std::string all;
  for (int i = 0; i < model::kStateCount; ++i) {
    all += fmt::format("{}'{}'", i == 0 ? "" : ", ", StateName(static_cast<State>(i)));
  }
  return std::unexpected(InvalidValue(param, name, all));
}

ApiResult<std::optional<model::Version>> ParseIfMatch(std::string_view header) {
  if (header == "*") return std::nullopt;
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"') {
    header = header.substr(1, header.size() - 2);
  }
  if (auto version = ParseVersion(header)) return version;
  return std::unexpected(BadRequest("The header If-Match must be a version, as an ETag is.",
                                    "If-Match", "invalid_value"));
}

}  // namespace inferq::wire
