#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BatchExtensionRoutes : public testing::GatewayTest {
 protected:
  // A page with these lines, named "l1"…; offsets are "o1"….
  static service::ResultsPage Page(int first, int last, bool ended = false) {
    service::ResultsPage page{.lines = {}, .next = fmt::format("o{}", last), .ended = ended};
    for (int i = first; i <= last; ++i) {
      page.lines.push_back({fmt::format("{{\"l\":{}}}\n", i), fmt::format("o{}", i)});
    }
    page.status = ended ? model::BatchStatus::kCompleted : model::BatchStatus::kInProgress;
    return page;
  }
  static service::ResultsPage Nothing(int behind) {
    return {
        .lines = {}, .next = fmt::format("o{}", behind), .status = model::BatchStatus::kInProgress};
  }
};

TEST_F(BatchExtensionRoutes, ABatchShowsTheExtensionsAndItsVersion) {
  FakeExchange exchange = Do("GET", "/v1/batches/batch_1");
  EXPECT_EQ(exchange.Header("etag"), "\"1\"");
  EXPECT_THAT(exchange.answer, HasSubstr(R"("metadata":null,"paused":false,"priority":0)"));
  EXPECT_THAT(Do("GET", "/v1/batches").answer, HasSubstr(R"("estimate":null})"));
}

TEST_F(BatchExtensionRoutes, PauseAndResume) {
  EXPECT_EQ(Do("POST", "/v1/batches/batch_1/pause").status, 200);
  EXPECT_EQ(use_cases_.paused, true);
  EXPECT_EQ(use_cases_.id, "batch_1");
  EXPECT_EQ(Do("POST", "/v1/batches/batch_1/resume").status, 200);
  EXPECT_EQ(use_cases_.paused, false);
}

TEST_F(BatchExtensionRoutes, APermanentConflictIsNotToBeRepeated) {
  use_cases_.fail = base::Error(Code::kFailedPrecondition, "Cannot pause a batch");
  for (const char* what : {"pause", "resume", "retry"}) {
    FakeExchange exchange = Do("POST", fmt::format("/v1/batches/batch_1/{}", what));
    EXPECT_EQ(exchange.status, 409) << what;
    EXPECT_EQ(exchange.Header("x-should-retry"), "false") << what;
  }
}

TEST_F(BatchExtensionRoutes, AnEditNamesItsVersion) {
  FakeExchange exchange = Request("PATCH", "/v1/batches/batch_1", R"({"priority":5})");
  exchange.head.headers.push_back({"If-Match", "\"3\""});
  Handle(exchange);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(use_cases_.batch_edit->patch.priority, 5);
  EXPECT_EQ(use_cases_.batch_edit->if_version, 3u);
  EXPECT_EQ(Do("PATCH", "/v1/batches/batch_1", R"({"priority":5000})").status, 400);
  EXPECT_EQ(Do("PATCH", "/v1/batches/batch_1", "{}").status, 400);
  use_cases_.fail = base::Error(Code::kAborted, "other version");
  FakeExchange other = Do("PATCH", "/v1/batches/batch_1", R"({"priority":5})");
  EXPECT_EQ(other.status, 412);
  EXPECT_EQ(ErrorOf(other, "param"), "If-Match");
}

TEST_F(BatchExtensionRoutes, ARetryIsANewBatch) {
  FakeExchange exchange = Do("POST", "/v1/batches/batch_1/retry");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_THAT(exchange.answer, HasSubstr(R"("retry_of":"batch_1")"));
}

TEST_F(BatchExtensionRoutes, APageOfResultsIsJsonLines) {
  use_cases_.pages = {Page(1, 2), Page(3, 3), Nothing(3)};
  FakeExchange exchange = Do("GET", "/v1/batches/batch_1/results?after=o0&limit=7&status=failed");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.answer, "{\"l\":1}\n{\"l\":2}\n{\"l\":3}\n");
  EXPECT_EQ(exchange.Header("x-inferq-next-offset"), "o3");
  EXPECT_EQ(exchange.Header("x-inferq-has-more"), "true");
  EXPECT_EQ(exchange.Header("x-inferq-batch-status"), "in_progress");
  ASSERT_THAT(use_cases_.reads, SizeIs(3));
  EXPECT_EQ(use_cases_.reads[0].after, "o0");
  EXPECT_EQ(use_cases_.reads[0].limit, 7u);
  EXPECT_EQ(use_cases_.reads[0].filter, service::ResultFilter::kFailed);
  EXPECT_EQ(use_cases_.reads[1].after, "o2");
  EXPECT_EQ(use_cases_.reads[1].limit, 5u);
}

TEST_F(BatchExtensionRoutes, APageIsBoundedInLinesAndBytes) {
  use_cases_.pages = {Page(1, 2), Page(3, 4)};
  EXPECT_EQ(Do("GET", "/v1/batches/b/results?limit=2").Header("x-inferq-next-offset"), "o2");
  service::ResultsPage large = Page(1, 1);
  large.lines[0].text = std::string(5u << 20, 'x') + "\n";
  use_cases_.pages = {large, Page(2, 2)};
  EXPECT_EQ(Do("GET", "/v1/batches/b/results").Header("x-inferq-next-offset"), "o1");
  use_cases_.pages = {Page(1, 1, true)};
  EXPECT_EQ(Do("GET", "/v1/batches/b/results").Header("x-inferq-has-more"), "false");
  for (const char* bad : {"limit=0", "limit=10001", "status=done", "stream=1"}) {
    EXPECT_EQ(Do("GET", fmt::format("/v1/batches/b/results?{}", bad)).status, 400) << bad;
  }
}

TEST_F(BatchExtensionRoutes, AStreamFollowsToTheEnd) {
  use_cases_.pages = {Page(1, 1), Nothing(1), Nothing(1), Page(2, 3, true)};
  FakeExchange exchange = Do("GET", "/v1/batches/batch_1/results?stream=true");
  EXPECT_EQ(exchange.Header("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(exchange.answer,
            "id: o1\ndata: {\"l\":1}\n\nid: o2\ndata: {\"l\":2}\n\n"
            "id: o3\ndata: {\"l\":3}\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(exchange.ended);
}

TEST_F(BatchExtensionRoutes, AStreamGoesOnBehindTheLastEvent) {
  use_cases_.pages = {Page(3, 3, true)};
  FakeExchange exchange = Request("GET", "/v1/batches/batch_1/results?stream=true&after=o1");
  exchange.head.headers.push_back({"Last-Event-ID", "o2"});
  Handle(exchange);
  EXPECT_EQ(use_cases_.reads.at(0).after, "o2");
}

TEST_F(BatchExtensionRoutes, SilenceIsFilledWithComments) {
  options_.keep_alive = 2s;
  use_cases_.pages.assign(8, Nothing(0));
  use_cases_.pages.push_back(Page(1, 1, true));
  FakeExchange exchange = Do("GET", "/v1/batches/batch_1/results?stream=true");
  EXPECT_THAT(exchange.answer, HasSubstr(": keep-alive\n\n"));
}

TEST_F(BatchExtensionRoutes, AStreamThatBreaksIsNotEndedCleanly) {
  use_cases_.pages = {Page(1, 1)};  // then the server stops
  FakeExchange exchange = Do("GET", "/v1/batches/batch_1/results?stream=true");
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.ended);
  FakeExchange early = Do("GET", "/v1/batches/batch_1/results?stream=true");
  EXPECT_EQ(early.status, 503) << "before the first byte it is a plain error";
}

TEST_F(BatchExtensionRoutes, AClientThatIsGoneEndsTheStream) {
  use_cases_.pages.assign(1000, Page(1, 1));
  FakeExchange slow = Request("GET", "/v1/batches/batch_1/results?stream=true");
  slow.writes_until_gone = 3;
  Handle(slow);
  EXPECT_THAT(use_cases_.reads, SizeIs(4));
  use_cases_.pages.assign(1000, Nothing(0));
  FakeExchange silent = Request("GET", "/v1/batches/batch_1/results?stream=true");
  runtime_.CallAt(runtime_.clock().Steady() + 5s, [&silent] { silent.HangUp(); });
  Handle(silent);
  EXPECT_GT(use_cases_.pages.size(), 900u);
}

}  // namespace
}  // namespace inferq::api
