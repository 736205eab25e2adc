#include "api/admin.h"

#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using testing::FakeExchange;

class AdminTest : public ::testing::Test {
 protected:
  FakeExchange Do(std::string method, std::string path) {
    FakeExchange exchange(runtime_, std::move(method), std::move(path));
    runtime_.Run(admin_.Handle(exchange));
    return exchange;
  }

  inferq::testing::SimRuntime runtime_;
  service::Health health_{.ready = true, .reasons = {}};
  Admin admin_{{.health = [this] { return health_; }, .metrics = [] { return "up 1\n"; }}};
};

TEST_F(AdminTest, TellsHealthReadinessAndMetrics) {
  EXPECT_EQ(Do("GET", "/healthz").status, 200);
  EXPECT_EQ(Do("GET", "/readyz").answer, R"({"ready":true,"reasons":[]})");
  FakeExchange metrics = Do("GET", "/metrics");
  EXPECT_EQ(metrics.answer, "up 1\n");
  EXPECT_TRUE(metrics.Header("content-type").starts_with("text/plain"));
}

TEST_F(AdminTest, NotReadyIs503WithTheReasons) {
  health_ = {.ready = false, .reasons = {"draining", "the \"disk\" is full"}};
  FakeExchange ready = Do("GET", "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.answer, R"({"ready":false,"reasons":["draining","the \"disk\" is full"]})");
  EXPECT_EQ(Do("GET", "/healthz").status, 200);
}

TEST_F(AdminTest, HasNothingElse) {
  EXPECT_EQ(Do("GET", "/v1/models").status, 404);
  EXPECT_EQ(Do("GET", "/").status, 404);
  FakeExchange posted = Do("POST", "/metrics");
  EXPECT_EQ(posted.status, 405);
  EXPECT_EQ(posted.Header("allow"), "GET, HEAD");
}

}  // namespace
}  // namespace inferq::api
