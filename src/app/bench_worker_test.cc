#include "app/bench_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::app {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(BenchWorkerTest, TasksOfAChunkShareTheirPayloadAndNotTheirKeys) {
  std::string body;
  AppendTasks(body, "k", 7, 2, "");
  EXPECT_EQ(body, R"({"tasks":[{"kind":"k","payload":7},{"kind":"k","payload":7}]})");
  body.clear();
  AppendTasks(body, "k", 7, 2, "run-7");
  EXPECT_EQ(body, R"({"tasks":[{"kind":"k","payload":7,"idempotency_key":"run-7-0"},)"
                  R"({"kind":"k","payload":7,"idempotency_key":"run-7-1"}]})");
}

TEST(BenchWorkerTest, EndsWhatItTookWithItsFenceAndClaimsMore) {
  BenchWorker worker("k", 3, 100, 0);
  EXPECT_EQ(worker.ClaimBody(),
            R"({"worker":"bench-3","kinds":["k"],"max_tasks":100,"wait_seconds":0})");
  EXPECT_THAT(worker.held(), IsEmpty());
  worker.Take({{.id = "task_1", .fence = "42", .payload = "5"},
               {.id = "task_2", .fence = "43", .payload = "6"}});
  EXPECT_THAT(worker.held(), ElementsAre(5, 6));
  EXPECT_EQ(worker.CompleteBody(false),
            R"({"worker":"bench-3","tasks":[{"id":"task_1","fence":"42","result":null},)"
            R"({"id":"task_2","fence":"43","result":null}]})");
  worker.Take({{.id = "task_3", .fence = "44", .payload = "9"}});
  EXPECT_EQ(worker.CompleteBody(true),
            R"({"worker":"bench-3","tasks":[{"id":"task_3","fence":"44","result":null}],)"
            R"("claim":)" +
                worker.ClaimBody() + "}");
}

}  // namespace
}  // namespace inferq::app
