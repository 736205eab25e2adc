#include "model/ids.h"

#include <gtest/gtest.h>

namespace inferq::model {
namespace {

TEST(Ids, KeepShardAndSequenceAndSortBySubmission) {
  TaskId id = MakeTaskId(3, 77);
  EXPECT_EQ(ShardOf(id), 3);
  EXPECT_EQ(SequenceOf(id), 77u);
  EXPECT_LT(MakeTaskId(3, 77), MakeTaskId(3, 78));
}

TEST(Ids, TextRoundTripsAndForeignTextIsRefused) {
  TaskId id = MakeTaskId(1, 42);
  EXPECT_EQ(ToString(id), "task_000100000000002a");
  EXPECT_EQ(ParseTaskId(ToString(id)), id);
  EXPECT_EQ(ParseBatchId("batch_000100000000002a"), BatchId{id.value});
  for (const char* bad :
       {"", "task_", "task_2a", "batch_000100000000002a", "task_000100000000002A",
        "task_00010000000000-1", "task_0000000000000000", "task_000100000000002a "}) {
    EXPECT_FALSE(ParseTaskId(bad)) << bad;
  }
}

TEST(Ids, ANewIncarnationsFenceIsAboveEveryOlderOne) {
  EXPECT_GT(MakeFence(2, 1), MakeFence(1, UINT32_MAX));
}

}  // namespace
}  // namespace inferq::model
