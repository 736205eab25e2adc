#include "obs/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace inferq::obs {
namespace {

using testing::HasSubstr;

TEST(Registry, RendersTheTextFormat) {
  Registry registry;
  registry.MakeCounter("inferq_tasks_total", "Tasks that ended.", {{"outcome", "ok"}}).Add(2);
  registry.MakeCounter("inferq_tasks_total", "Tasks that ended.", {{"outcome", "failed"}}).Add();
  registry.MakeGauge("inferq_running", "Tasks under way.").Set(3);
  auto wait = registry.MakeHistogram("inferq_queue_wait_seconds", "Wait.", {}, {0.5, 1});
  wait.Observe(0.25);
  wait.Observe(2);
  EXPECT_EQ(registry.Render(),
            R"(# HELP inferq_queue_wait_seconds Wait.
# TYPE inferq_queue_wait_seconds histogram
inferq_queue_wait_seconds_count 2
inferq_queue_wait_seconds_sum 2.25
inferq_queue_wait_seconds_bucket{le="0.5"} 1
inferq_queue_wait_seconds_bucket{le="1"} 1
inferq_queue_wait_seconds_bucket{le="+Inf"} 2
# HELP inferq_running Tasks under way.
# TYPE inferq_running gauge
inferq_running 3
# HELP inferq_tasks_total Tasks that ended.
# TYPE inferq_tasks_total counter
inferq_tasks_total{outcome="failed"} 1
inferq_tasks_total{outcome="ok"} 2
)");
}

TEST(Registry, TheSameLabelsAreTheSameSeries) {
  Registry registry;
  registry.MakeCounter("c_total", "C.", {{"tenant", "a"}}).Add();
  registry.MakeCounter("c_total", "C.", {{"tenant", "a"}}).Add();
  EXPECT_THAT(registry.Render(), HasSubstr("c_total{tenant=\"a\"} 2\n"));
}

TEST(Registry, LabelsAreEscaped) {
  Registry registry;
  registry.MakeGauge("g", "G.", {{"model", "a\"\\\n"}}).Set(1);
  EXPECT_THAT(registry.Render(), HasSubstr(R"(g{model="a\"\\\n"} 1)"));
}

TEST(Registry, WhatIsCountedElsewhereIsReadWhenRendering) {
  Registry registry;
  double total = 5;
  Counter counter = registry.MakeCounter("c_total", "C.");
  registry.OnRender([&] { counter.RaiseTo(total); });
  EXPECT_THAT(registry.Render(), HasSubstr("\nc_total 5\n"));
  total = 7;
  EXPECT_THAT(registry.Render(), HasSubstr("\nc_total 7\n"));
}

TEST(Registry, CountsOfManyThreadsAddUp) {
  Registry registry;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&registry] {
        for (int i = 0; i < 1000; ++i) registry.MakeCounter("c_total", "C.").Add();
      });
    }
  }
  EXPECT_THAT(registry.Render(), HasSubstr("\nc_total 4000\n"));
}

TEST(Registry, ANameThatPrometheusRefusesStopsTheProcess) {
  Registry registry;
  EXPECT_DEATH(registry.MakeCounter("no name", "C."), "metric no name");
  registry.MakeCounter("c", "C.");
  EXPECT_DEATH(registry.MakeGauge("c", "C."), "metric c");
}

TEST(LatencyBuckets, RiseFromHalfAMillisecondToTenMinutes) {
  EXPECT_EQ(LatencyBuckets().front(), 0.0005);
  EXPECT_EQ(LatencyBuckets().back(), 600);
  EXPECT_TRUE(std::ranges::is_sorted(LatencyBuckets()));
}

}  // namespace
}  // namespace inferq::obs
