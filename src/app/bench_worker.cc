#include "app/bench_worker.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

namespace inferq::app {
namespace {

uint64_t NumberIn(std::string_view json) {
  uint64_t number = 0;
  std::from_chars(json.data(), json.data() + json.size(), number);
  return number;
}

}  // namespace

void AppendTask(std::string& out, std::string_view kind, uint64_t payload, std::string_view key) {
  fmt::format_to(std::back_inserter(out), R"({{"kind":"{}","payload":{})", kind, payload);
  if (!key.empty()) out.append(R"(,"idempotency_key":")").append(key).append("\"");
  out.push_back('}');
}

void AppendTasks(std::string& out, std::string_view kind, uint64_t payload, uint32_t count,
                 std::string_view key) {
  out.append(R"({"tasks":[)");
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    AppendTask(out, kind, payload, key.empty() ? "" : fmt::format("{}-{}", key, i));
  }
  out.append("]}");
}

BenchWorker::BenchWorker(std::string_view kind, uint32_t number, uint32_t max_tasks,
                         double wait_seconds)
    : name_(fmt::format("bench-{}", number)),
      claim_(fmt::format(R"({{"worker":"{}","kinds":["{}"],"max_tasks":{},"wait_seconds":{}}})",
                         name_, kind, max_tasks, wait_seconds)) {}

const std::string& BenchWorker::CompleteBody(bool claim) {
  complete_.clear();
  complete_.append(R"({"worker":")").append(name_).append(R"(","tasks":[)").append(ends_);
  complete_.push_back(']');
  if (claim) complete_.append(R"(,"claim":)").append(claim_);
  complete_.push_back('}');
  return complete_;
}

void BenchWorker::Take(const std::vector<client::ClaimedTask>& tasks) {
  ends_.clear();
  held_.clear();
  for (const client::ClaimedTask& task : tasks) {
    if (!ends_.empty()) ends_.push_back(',');
    ends_.append(R"({"id":")").append(task.id).append(R"(","fence":")").append(task.fence);
    ends_.append(R"(","result":null})");
    held_.push_back(NumberIn(task.payload));
  }
}

}  // namespace inferq::app
