#include "app/bench_machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/check.h"

namespace inferq::app {
namespace {

TEST(BenchMachineTest, ReadsWhatAProcessUses) {
  ProcessUsage usage = OwnUsage();
  EXPECT_GT(usage.resident_bytes, 1u << 20);
  EXPECT_GE(usage.peak_bytes, usage.resident_bytes);
  EXPECT_GE(usage.user_seconds + usage.system_seconds, 0);
  EXPECT_EQ(UsageOf(0).resident_bytes, 0U);
}

TEST(BenchMachineTest, SyncsAreCountedAndLeaveNothingBehind) {
  std::string directory = testing::TempDir() + "bench_XXXXXX";
  INFERQ_CHECK(::mkdtemp(directory.data()) != nullptr);
  auto rate = MeasureSyncs(directory, 0);  // one, at least
  ASSERT_TRUE(rate.has_value()) << rate.error().message();
  EXPECT_GT(*rate, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove(directory);
  EXPECT_FALSE(MeasureSyncs("/nowhere", 0).has_value());
}

}  // namespace
}  // namespace inferq::app
