#include "api/read_body.h"
#include "api/routes.h"
#include "api/task_view.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

/// Tells the service when the client of a long poll hangs up: nothing is claimed for it then.
class Watch {
 public:
  explicit Watch(Call& call, bool waits) {
    if (!waits) return;
    flag_ = std::make_shared<std::atomic<bool>>(false);
    hook_.emplace(call.exchange.gone(), [flag = flag_] { *flag = true; });
  }
  service::HungUp flag() const { return flag_; }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
  std::optional<runtime::CancelHook> hook_;
};

/// Sends claimed tasks; those that do not arrive are handed back at once, not when their leases
/// run out.
Awaitable<void> Deliver(Call& call, std::string json, const std::string& worker,
                        const std::vector<service::ClaimedWork>& claimed) {
  http::Headers headers{{"content-type", "application/json"}};
  auto sent = co_await call.exchange.Send(200, std::move(headers), std::move(json));
  if (sent || claimed.empty()) co_return;
  wire::ReleaseCall release{.worker = worker};
  for (const service::ClaimedWork& work : claimed) {
    release.tasks.push_back({.id = work.task.id, .fence = work.task.fence});
  }
  (void)co_await call.use_cases.ReleaseTasks(call.here(), call.caller, std::move(release));
}

template <class Item>
std::vector<model::TaskId> IdsOf(const std::vector<Item>& items) {
  std::vector<model::TaskId> ids;
  ids.reserve(items.size());
  for (const Item& item : items) ids.push_back(item.task.id);
  return ids;
}

std::string CompletedJson(const std::vector<model::TaskId>& ids, const service::Completed& done) {
  std::string json = wire::SettledJson(ids, done.outcomes);
  if (done.claimed) {
    json += R"(,"claimed":[)";
    if (*done.claimed) AppendClaimedWork(json, **done.claimed);
    json += ']';
    if (!*done.claimed) {
      const base::Error& error = done.claimed->error();
      json += R"(,"claim_error":)";
      json += wire::TaskErrorJson(base::CodeName(error.code()), error.message());
    }
  }
  return json += '}';
}

}  // namespace

Awaitable<ApiResult<>> ClaimTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto claim, co_await ReadParsed(call, wire::ParseClaim));
  std::string worker = claim.worker;
  Watch watch(call, claim.wait > base::Micros(0));
  INFERQ_CO_ASSIGN(auto claimed, co_await call.use_cases.ClaimTasks(
                                     call.here(), call.caller, std::move(claim), watch.flag()));
  std::string json = R"({"tasks":[)";
  AppendClaimedWork(json, claimed);
  co_await Deliver(call, json += "]}", worker, claimed);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> RenewTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto renew, co_await ReadParsed(call, wire::ParseRenew));
  INFERQ_CO_ASSIGN(auto replies,
                   co_await call.use_cases.RenewTasks(call.here(), call.caller, std::move(renew)));
  co_await SendJson(call, wire::RenewedJson(replies));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> CompleteTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto complete, co_await ReadParsed(call, wire::ParseComplete));
  std::string worker = complete.worker;
  std::vector<model::TaskId> ids = IdsOf(complete.tasks);
  Watch watch(call, complete.claim && complete.claim->wait > base::Micros(0));
  INFERQ_CO_ASSIGN(auto done, co_await call.use_cases.CompleteTasks(
                                  call.here(), call.caller, std::move(complete), watch.flag()));
  std::string json = CompletedJson(ids, done);
  std::vector<service::ClaimedWork> claimed;
  if (done.claimed && *done.claimed) claimed = **std::move(done.claimed);
  co_await Deliver(call, std::move(json), worker, claimed);
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> FailTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto failed, co_await ReadParsed(call, wire::ParseFail));
  std::vector<model::TaskId> ids = IdsOf(failed.tasks);
  INFERQ_CO_ASSIGN(auto outcomes,
                   co_await call.use_cases.FailTasks(call.here(), call.caller, std::move(failed)));
  co_await SendJson(call, wire::SettledJson(ids, outcomes) + "}");
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ReleaseTasks(Call& call) {
  INFERQ_CO_ASSIGN(auto release, co_await ReadParsed(call, wire::ParseRelease));
  std::vector<model::TaskId> ids;
  for (const wire::HeldTask& task : release.tasks) ids.push_back(task.id);
  INFERQ_CO_ASSIGN(auto outcomes, co_await call.use_cases.ReleaseTasks(call.here(), call.caller,
                                                                       std::move(release)));
  co_await SendJson(call, wire::SettledJson(ids, outcomes) + "}");
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> Heartbeat(Call& call) {
  INFERQ_CO_ASSIGN(auto beat, co_await ReadParsed(call, wire::ParseHeartbeat));
  INFERQ_CO_ASSIGN(auto replies,
                   co_await call.use_cases.Heartbeat(call.here(), call.caller, std::move(beat)));
  co_await SendJson(call, wire::RenewedJson(replies));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> ListWorkers(Call& call) {
  INFERQ_CO_ASSIGN(auto workers, co_await call.use_cases.ListWorkers(call.here(), call.caller));
  co_await SendJson(call, wire::WorkersJson(workers));
  co_return ApiResult<>();
}

}  // namespace inferq::api
