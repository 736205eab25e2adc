// One body of a worker's call, read as each of them: lists keep their bounds, no task comes twice,
// results and errors lie in their text and are JSON.
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "refusal.h"
#include "wire/task_create.h"
#include "wire/worker_calls.h"

using namespace inferq;
using namespace inferq::wire;

namespace {

using namespace std::chrono_literals;

const HeldTask& HeldOf(const HeldTask& task) { return task; }
template <class Item>
const HeldTask& HeldOf(const Item& item) {
  return item.task;
}

template <class Item>
void CheckItems(const std::vector<Item>& items, size_t min, size_t max) {
  INFERQ_CHECK(items.size() >= min && items.size() <= max);
  std::set<model::TaskId> ids;
  for (const Item& item : items) {
    INFERQ_CHECK(HeldOf(item).id && HeldOf(item).fence);
    INFERQ_CHECK(ids.insert(HeldOf(item).id).second);
  }
}

void CheckSpan(const Span& span, std::string_view text) {
  INFERQ_CHECK(span.offset + span.length <= text.size() && span.length > 0);
  INFERQ_CHECK(ParseJson(text.substr(span.offset, span.length)).has_value());
}

void CheckClaim(const WorkerClaim& claim) {
  INFERQ_CHECK(!claim.worker.empty() && claim.worker.size() <= kMaxWorkerBytes);
  INFERQ_CHECK(!claim.kinds.empty() && claim.kinds.size() <= kMaxKindsPerClaim);
  for (const std::string& kind : claim.kinds) INFERQ_CHECK(IsKind(kind));
  INFERQ_CHECK(claim.max_tasks >= 1 && claim.max_tasks <= kMaxWorkerTasks);
  INFERQ_CHECK(claim.lease >= 1s && claim.lease <= 1h);
  INFERQ_CHECK(claim.wait >= 0s && claim.wait <= 60s);
}

template <class Call, class Check>
void Read(const ApiResult<Call>& call, Check check) {
  if (!call) return fuzz::CheckRefusal(call.error());
  INFERQ_CHECK(!call->worker.empty() && call->worker.size() <= kMaxWorkerBytes);
  check(*call);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Read(ParseClaim(text), CheckClaim);
  Read(ParseRenew(text), [](const RenewCall& call) {
    CheckItems(call.tasks, 1, kMaxWorkerTasks);
    for (const WorkerRenewal& task : call.tasks) {
      INFERQ_CHECK(task.checkpoint.value_or("").size() <= kMaxCheckpointBytes);
    }
  });
  Read(ParseComplete(text), [](const CompleteCall& call) {
    CheckItems(call.tasks, 1, kMaxWorkerTasks);
    for (const WorkerCompletion& task : call.tasks) CheckSpan(task.result, call.results);
    if (call.claim) CheckClaim(*call.claim);
  });
  Read(ParseFail(text), [](const FailCall& call) {
    CheckItems(call.tasks, 1, kMaxWorkerTasks);
    for (const WorkerFailure& task : call.tasks) CheckSpan(task.error, call.errors);
  });
  Read(ParseRelease(text),
       [](const ReleaseCall& call) { CheckItems(call.tasks, 1, kMaxWorkerTasks); });
  Read(ParseHeartbeat(text), [](const HeartbeatCall& call) {
    CheckItems(call.tasks, 0, kMaxHeldTasks);
    INFERQ_CHECK(!call.load || call.load->cpu >= 0);
  });
  return 0;
}
