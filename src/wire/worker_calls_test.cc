#include "wire/worker_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/worker_answers.h"

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::SizeIs;

template <class Parse>
void ExpectRefused(Parse parse, std::string_view body, std::string_view param) {
  auto parsed = parse(body);
  ASSERT_FALSE(parsed) << body;
  EXPECT_EQ(parsed.error().status, 400) << body;
  EXPECT_EQ(parsed.error().param, param) << body;
}

std::string Tasks(size_t count, const std::string& more = "") {
  std::string list = "[";
  for (size_t i = 1; i <= count; ++i) {
    list += fmt::format(R"({{"id":"task_{:016x}","fence":"{}"{}}},)", i, i, more);
  }
  if (count > 0) list.pop_back();
  return list + "]";
}

TEST(WorkerClaim, ReadsAllAndDefaults) {
  auto claim = ParseClaim(R"({"worker":"w","kinds":["a","b"]})").value();
  EXPECT_EQ(claim.worker, "w");
  EXPECT_THAT(claim.kinds, ElementsAre("a", "b"));
  EXPECT_EQ(claim.max_tasks, 1u);
  EXPECT_EQ(claim.token_budget, UINT64_MAX);
  EXPECT_EQ(claim.lease, 30s);
  EXPECT_EQ(claim.wait, 0s);
  claim = ParseClaim(R"({"worker":"w","kinds":["a"],"max_tasks":1000,"token_budget":5,)"
                     R"("lease_seconds":1.5,"wait_seconds":60})")
              .value();
  EXPECT_EQ(claim.max_tasks, 1000u);
  EXPECT_EQ(claim.token_budget, 5u);
  EXPECT_EQ(claim.lease, 1500ms);
  EXPECT_EQ(claim.wait, 60s);
}

TEST(WorkerClaim, RefusalsNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"kinds":["a"]})", "worker"},
      {R"({"worker":"","kinds":["a"]})", "worker"},
      {R"({"worker":"w\u0000","kinds":["a"]})", "worker"},
      {R"({"worker":"w"})", "kinds"},
      {R"({"worker":"w","kinds":[]})", "kinds"},
      {R"({"worker":"w","kinds":"a"})", "kinds"},
      {R"({"worker":"w","kinds":["bob/a"]})", "kinds"},
      {R"({"worker":"w","kinds":["@bob"]})", "kinds"},
      {R"({"worker":"w","kinds":["a"],"max_tasks":0})", "max_tasks"},
      {R"({"worker":"w","kinds":["a"],"max_tasks":1001})", "max_tasks"},
      {R"({"worker":"w","kinds":["a"],"lease_seconds":0.5})", "lease_seconds"},
      {R"({"worker":"w","kinds":["a"],"lease_seconds":3601})", "lease_seconds"},
      {R"({"worker":"w","kinds":["a"],"wait_seconds":61})", "wait_seconds"},
      {R"({"worker":"w","kinds":["a"],"wait_seconds":-1})", "wait_seconds"},
      {R"({"worker":"w","kinds":["a"],"wait_seconds":"1"})", "wait_seconds"},
      {R"({"worker":"w","kinds":["a"],"tenant":"bob"})", "tenant"},
      {R"({"worker":"w","worker":"v","kinds":["a"]})", "worker"},
  };
  for (const auto& [body, param] : cases) ExpectRefused(ParseClaim, body, param);
  ExpectRefused(ParseClaim,
                fmt::format(R"({{"worker":"{}","kinds":["a"]}})", std::string(129, 'w')), "worker");
}

TEST(WorkerRenew, ReadsCheckpoints) {
  auto call = ParseRenew(R"({"worker":"w","lease_seconds":60,"tasks":[)"
                         R"({"id":"task_0000000000000001","fence":"18446744073709551615"},)"
                         R"({"id":"task_0000000000000002","fence":"2","checkpoint":"half"}]})")
                  .value();
  EXPECT_EQ(call.lease, 60s);
  ASSERT_THAT(call.tasks, SizeIs(2));
  EXPECT_EQ(call.tasks[0].task.fence.value, UINT64_MAX);
  EXPECT_FALSE(call.tasks[0].checkpoint);
  EXPECT_EQ(call.tasks[1].checkpoint, "half");
}

TEST(WorkerItems, RefusalsNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"worker":"w"})", "tasks"},
      {R"({"worker":"w","tasks":[]})", "tasks"},
      {R"({"tasks":[{"id":"task_0000000000000001","fence":"1"}]})", "worker"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001"}]})", "tasks[0].fence"},
      {R"({"worker":"w","tasks":[{"fence":"1"}]})", "tasks[0].id"},
      {R"({"worker":"w","tasks":[{"id":"task_1","fence":"1"}]})", "tasks[0].id"},
      {R"({"worker":"w","tasks":[{"id":1,"fence":"1"}]})", "tasks[0].id"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":1}]})", "tasks[0].fence"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":""}]})", "tasks[0].fence"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":"0x1"}]})",
       "tasks[0].fence"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":"18446744073709551616"}]})",
       "tasks[0].fence"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":"1"},)"
       R"({"id":"task_0000000000000001","fence":"2"}]})",
       "tasks[1].id"},
      {R"({"worker":"w","tasks":[{"id":"task_0000000000000001","fence":"1","x":1}]})",
       "tasks[0].x"},
      {R"({"worker":"w","tasks":[null]})", "tasks[0]"},
  };
  for (const auto& [body, param] : cases) ExpectRefused(ParseRelease, body, param);
  std::string most = R"({"worker":"w","tasks":)" + Tasks(kMaxWorkerTasks) + "}";
  EXPECT_TRUE(ParseRelease(most));
  ExpectRefused(ParseRelease, R"({"worker":"w","tasks":)" + Tasks(kMaxWorkerTasks + 1) + "}",
                "tasks");
  std::string large =
      fmt::format(R"(,"checkpoint":"{}")", std::string(kMaxCheckpointBytes + 1, 'x'));
  ExpectRefused(ParseRenew, R"({"worker":"w","tasks":)" + Tasks(1, large) + "}",
                "tasks[0].checkpoint");
}

TEST(WorkerComplete, KeepsResultsAsWritten) {
  auto call = ParseComplete(R"({"worker":"w","tasks":[)"
                            R"({"id":"task_0000000000000001","fence":"1","result":{"a": 1.50}},)"
                            R"({"id":"task_0000000000000002","fence":"2","result":null,"cost":7}],)"
                            R"("claim":{"kinds":["a"],"max_tasks":2}})")
                  .value();
  EXPECT_EQ(call.results, R"({"a": 1.50}null)");
  EXPECT_EQ(call.tasks[1].result.offset, 11u);
  EXPECT_EQ(call.tasks[1].result.length, 4u);
  EXPECT_EQ(call.tasks[1].cost, 7u);
  ASSERT_TRUE(call.claim);
  EXPECT_EQ(call.claim->worker, "w");
  EXPECT_EQ(call.claim->max_tasks, 2u);
  ExpectRefused(ParseComplete, R"({"worker":"w","tasks":)" + Tasks(1) + "}", "tasks[0].result");
  ExpectRefused(ParseComplete,
                R"({"worker":"w","tasks":)" + Tasks(1, R"(,"result":1,"cost":-1)") + "}",
                "tasks[0].cost");
  ExpectRefused(ParseComplete,
                R"({"worker":"w","claim":{"worker":"v","kinds":["a"]},"tasks":)" +
                    Tasks(1, R"(,"result":1)") + "}",
                "claim.worker");
  ExpectRefused(ParseComplete,
                R"({"worker":"w","claim":{"kinds":[]},"tasks":)" + Tasks(1, R"(,"result":1)") + "}",
                "claim.kinds");
  std::string large = fmt::format(R"(,"result":"{}")", std::string(kMaxResultBytes, 'x'));
  ExpectRefused(ParseComplete, R"({"worker":"w","tasks":)" + Tasks(1, large) + "}",
                "tasks[0].result");
}

TEST(WorkerFail, BuildsTheErrorThatClientsSee) {
  auto call =
      ParseFail(R"({"worker":"w","tasks":[)"
                R"({"id":"task_0000000000000001","fence":"1","error":{"message":"a\"b"}},)"
                R"({"id":"task_0000000000000002","fence":"2","retryable":false,"crashed":true,)"
                R"("error":{"code":"bad_image","message":"m"}}]})")
          .value();
  EXPECT_EQ(call.errors, R"({"code":"worker_error","message":"a\"b"})"
                         R"({"code":"bad_image","message":"m"})");
  EXPECT_EQ(call.tasks[0].message, "a\"b");
  EXPECT_TRUE(call.tasks[0].retryable);
  EXPECT_FALSE(call.tasks[1].retryable);
  EXPECT_TRUE(call.tasks[1].crashed);
  EXPECT_EQ(call.tasks[1].error.offset, call.tasks[0].error.length);
  ExpectRefused(ParseFail, R"({"worker":"w","tasks":)" + Tasks(1) + "}", "tasks[0].error");
  ExpectRefused(ParseFail, R"({"worker":"w","tasks":)" + Tasks(1, R"(,"error":"x")") + "}",
                "tasks[0].error");
  ExpectRefused(ParseFail, R"({"worker":"w","tasks":)" + Tasks(1, R"(,"error":{"code":"x"})") + "}",
                "tasks[0].error.message");
}

TEST(WorkerHeartbeat, TasksAreOptional) {
  auto call = ParseHeartbeat(R"({"worker":"w","version":"1.0","capacity":8,)"
                             R"("load":{"cpu":0.5,"memory_bytes":10,"pending":3}})")
                  .value();
  EXPECT_EQ(call.version, "1.0");
  EXPECT_EQ(call.capacity, 8u);
  EXPECT_EQ(call.load->cpu, 0.5);
  EXPECT_EQ(call.load->pending, 3u);
  EXPECT_THAT(call.tasks, SizeIs(0));
  EXPECT_TRUE(ParseHeartbeat(R"({"worker":"w","tasks":)" + Tasks(2000) + "}"));
  ExpectRefused(ParseHeartbeat, R"({"worker":"w","load":{"cpu":-1}})", "load.cpu");
  ExpectRefused(ParseHeartbeat, R"({"worker":"w","load":{"gpu":1}})", "load.gpu");
  ExpectRefused(ParseHeartbeat, R"({"worker":"w","capacity":-1})", "capacity");
}

TEST(WorkerAnswers, AreWhatTheyShouldBe) {
  std::string out = "[";
  AppendClaimed(out, {.id = model::TaskId{1},
                      .fence = model::Fence{7},
                      .kind = "ocr",
                      .attempt = 2,
                      .alone = true,
                      .payload = R"({"a": 1})",
                      .checkpoint = "half",
                      .deadline = base::WallTime(1800000000s),
                      .expires_at = {},
                      .traceparent = {}});
  EXPECT_EQ(out,
            R"([{"id":"task_0000000000000001","fence":"7","kind":"ocr","attempt":2,"alone":true,)"
            R"("payload":{"a": 1},"checkpoint":"half","deadline":1800000000,"expires_at":null,)"
            R"("traceparent":null})");
  EXPECT_EQ(
      RenewedJson({{model::TaskId{1}, HeldState::kHeld}, {model::TaskId{2}, HeldState::kLost}}),
      R"({"tasks":[{"id":"task_0000000000000001","state":"held"},)"
      R"({"id":"task_0000000000000002","state":"lost"}]})");
  std::vector<base::Result<>> outcomes{{}, base::Fail(base::Code::kAborted, "lost")};
  EXPECT_EQ(
      SettledJson({model::TaskId{1}, model::TaskId{2}}, outcomes),
      R"({"tasks":[{"id":"task_0000000000000001","ok":true},)"
      R"({"id":"task_0000000000000002","ok":false,"error":{"code":"aborted","message":"lost"}}])");
  WorkerObject worker{.worker = "w", .capacity = 8, .leases = 2, .last_seen = base::WallTime(5s)};
  EXPECT_EQ(WorkersJson({worker}),
            R"({"object":"list","data":[{"worker":"w","version":null,"capacity":8,"load":null,)"
            R"("leases":2,"last_seen":5}]})");
}

}  // namespace
}  // namespace inferq::wire
