#include "model/batch.h"

#include <gtest/gtest.h>

#include <set>

namespace inferq::model {
namespace {

using enum BatchStatus;

std::vector<BatchStatus> All() {
  std::vector<BatchStatus> all;
  for (size_t i = 0; i < kBatchStatusCount; ++i) all.push_back(static_cast<BatchStatus>(i));
  return all;
}

std::set<BatchStatus> After(BatchStatus from) {
  std::set<BatchStatus> after;
  for (BatchStatus to : All()) {
    if (CanMove(from, to)) after.insert(to);
  }
  return after;
}

TEST(BatchStatus, MovesAlongThePicture) {
  EXPECT_EQ(After(kValidating), (std::set{kFailed, kInProgress, kFinalizing, kCancelling}));
  EXPECT_EQ(After(kInProgress), (std::set{kFinalizing, kCancelling}));
  EXPECT_EQ(After(kFinalizing), (std::set{kCompleted, kExpired}));
  EXPECT_EQ(After(kCancelling), std::set{kCancelled});
}

TEST(BatchStatus, EndsExactlyInTheTerminalOnes) {
  for (BatchStatus status : All()) EXPECT_EQ(After(status).empty(), IsTerminal(status));
}

TEST(BatchStatus, NamesAreOpenAIsAndRoundTrip) {
  EXPECT_EQ(BatchStatusName(kInProgress), "in_progress");
  EXPECT_EQ(BatchStatusName(kCancelling), "cancelling");
  for (BatchStatus status : All()) EXPECT_EQ(ParseBatchStatus(BatchStatusName(status)), status);
  EXPECT_FALSE(ParseBatchStatus("paused"));
}

TEST(BatchRecord, KnowsWhenItEnded) {
  BatchRecord batch;
  auto at = [](int micros) { return base::WallTime(base::Micros(micros)); };
  batch.failed_at = at(1);
  batch.completed = at(2);
  batch.expired = at(3);
  batch.cancelled = at(4);
  EXPECT_FALSE(EndedAt(batch));
  const std::pair<BatchStatus, int> ends[] = {{BatchStatus::kFailed, 1},
                                              {BatchStatus::kCompleted, 2},
                                              {BatchStatus::kExpired, 3},
                                              {BatchStatus::kCancelled, 4}};
  for (auto [status, micros] : ends) {
    batch.status = status;
    EXPECT_EQ(EndedAt(batch), at(micros));
  }
}

}  // namespace
}  // namespace inferq::model
