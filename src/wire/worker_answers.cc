#include "wire/worker_answers.h"

#include "wire/fields.h"
#include "wire/task_object.h"

namespace inferq::wire {

namespace {

std::string_view NameOf(HeldState state) {
  switch (state) {
    case HeldState::kHeld:
      return "held";
    case HeldState::kCancelled:
      return "cancelled";
    case HeldState::kLost:
      return "lost";
  }
  return "lost";
}

void AppendItemId(std::string& out, model::TaskId id) {
  if (out.back() != '[') out += ',';
  out.append(R"({"id":")").append(ToString(id)).append("\"");
}

void AppendWorker(std::string& out, const WorkerObject& worker) {
  auto to = std::back_inserter(out);
  out += R"({"worker":)";
  AppendJsonString(out, worker.worker);
  out += R"(,"version":)";
  AppendStringOrNull(out, worker.version);
  out += R"(,"capacity":)";
  out += worker.capacity ? std::to_string(*worker.capacity) : "null";
  out += R"(,"load":)";
  if (worker.load) {
    fmt::format_to(to, R"({{"cpu":{},"memory_bytes":{},"pending":{}}})",
                   JsonNumber(worker.load->cpu), worker.load->memory_bytes, worker.load->pending);
  } else {
    out += "null";
  }
  fmt::format_to(to, R"(,"leases":{},"last_seen":)", worker.leases);
  AppendTime(out, worker.last_seen);
  out += '}';
}

}  // namespace

void AppendClaimed(std::string& out, const ClaimedItem& item) {
  AppendItemId(out, item.id);
  fmt::format_to(std::back_inserter(out), R"(,"fence":"{}","kind":)", item.fence.value);
  AppendJsonString(out, item.kind);
  fmt::format_to(std::back_inserter(out), R"(,"attempt":{},"alone":{},"payload":)", item.attempt,
                 item.alone);
  out.append(item.payload).append(R"(,"checkpoint":)");
  AppendStringOrNull(out, item.checkpoint);
  out += R"(,"deadline":)";
  AppendTimeOrNull(out, item.deadline);
  out += R"(,"expires_at":)";
  AppendTimeOrNull(out, item.expires_at);
  out += R"(,"traceparent":)";
  AppendStringOrNull(out, item.traceparent);
  out += '}';
}

std::string RenewedJson(const std::vector<std::pair<model::TaskId, HeldState>>& tasks) {
  std::string out = R"({"tasks":[)";
  for (const auto& [id, state] : tasks) {
    AppendItemId(out, id);
    out.append(R"(,"state":")").append(NameOf(state)).append("\"}");
  }
  return out += "]}";
}

std::string SettledJson(const std::vector<model::TaskId>& ids,
                        const std::vector<base::Result<>>& outcomes) {
  constexpr size_t kBytesEach = 48;
  std::string out;
  out.reserve(ids.size() * kBytesEach);
  out += R"({"tasks":[)";
  for (size_t i = 0; i < ids.size(); ++i) {
    AppendItemId(out, ids[i]);
    if (outcomes[i]) {
      out += R"(,"ok":true})";
      continue;
    }
    const base::Error& error = outcomes[i].error();
    out.append(R"(,"ok":false,"error":)");
    out.append(TaskErrorJson(base::CodeName(error.code()), error.message())).append("}");
  }
  return out += ']';
}

std::string WorkersJson(const std::vector<WorkerObject>& workers) {
  std::string out = R"({"object":"list","data":[)";
  for (const WorkerObject& worker : workers) {
    if (out.back() != '[') out += ',';
    AppendWorker(out, worker);
  }
  return out += "]}";
}

}  // namespace inferq::wire
