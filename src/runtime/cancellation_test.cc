#include "runtime/cancellation.h"

#include <gtest/gtest.h>

#include <optional>

namespace inferq::runtime {
namespace {

TEST(Cancellation, RunsWhatIsRegisteredOnce) {
  auto cancellation = std::make_shared<Cancellation>();
  int runs = 0;
  CancelHook hook(cancellation, [&runs] { ++runs; });
  EXPECT_EQ(runs, 0);
  cancellation->Cancel();
  cancellation->Cancel();
  EXPECT_EQ(runs, 1);
}

TEST(Cancellation, RunsALateHookAtOnceAndAGoneHookNever) {
  auto cancellation = std::make_shared<Cancellation>();
  int gone = 0;
  int late = 0;
  {
    CancelHook hook(cancellation, [&gone] { ++gone; });
  }
  cancellation->Cancel();
  CancelHook hook(cancellation, [&late] { ++late; });
  EXPECT_EQ(gone, 0);
  EXPECT_EQ(late, 1);
}

TEST(Cancellation, AHookMayTakeAnotherOneBack) {
  auto cancellation = std::make_shared<Cancellation>();
  int runs = 0;
  std::optional<CancelHook> second;
  CancelHook first(cancellation, [&second] { second.reset(); });
  second.emplace(cancellation, [&runs] { ++runs; });
  cancellation->Cancel();
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace inferq::runtime
