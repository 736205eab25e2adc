#include "app/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Report Example() {
  Report report;
  report.Text("bench", "a \"quoted\" name");
  report.Count("tasks", 1'234'567);
  report.Number("tasks_per_s", 54'321.4, 0);
  report.Number("seconds", 1.5, 2);
  report.Maybe("fdatasync_per_s", std::nullopt);
  report.Flag("interrupted", false);
  Latencies latencies;
  latencies.Add(1ms);
  latencies.Add(2500us);
  report.Add("submit_ms", latencies);
  return report;
}

TEST(BenchReportTest, IsOneJsonObjectOnOneLine) {
  const std::string json = Example().Json();
  EXPECT_EQ(json,
            R"({"bench":"a \"quoted\" name","tasks":1234567,"tasks_per_s":54321,"seconds":1.50,)"
            R"("fdatasync_per_s":null,"interrupted":false,"submit_ms":{"count":2,"p50":1.000,)"
            R"("p90":2.500,"p95":2.500,"p99":2.500,"p99_9":2.500,"max":2.500}})");
  EXPECT_TRUE(wire::ParseJson(json).has_value());
}

TEST(BenchReportTest, IsATableForPeople) {
  std::string table = Example().Table();
  EXPECT_THAT(table, HasSubstr("tasks per s      54,321\n"));
  EXPECT_THAT(table, HasSubstr("fdatasync per s  -\n"));
  EXPECT_THAT(table, HasSubstr("submit ms  2      1.000  2.500  2.500  2.500  2.500  2.500\n"));
}

TEST(BenchReportTest, IsMarkdownForAPage) {
  std::string page = Example().Markdown();
  EXPECT_THAT(page, HasSubstr("| tasks | 1,234,567 |\n"));
  EXPECT_THAT(page, HasSubstr("\n\n| latency | count | p50 | p90 | p95 | p99 | p99.9 | max |\n"));
  EXPECT_THAT(page,
              HasSubstr("| submit ms | 2 | 1.000 | 2.500 | 2.500 | 2.500 | 2.500 | 2.500 |\n"));
}

}  // namespace
}  // namespace inferq::app
