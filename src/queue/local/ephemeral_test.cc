// What ephemeral tasks leave behind: nothing.

#include <gtest/gtest.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "queue/local/local_queue.h"
#include "queue/local/memory_journal.h"
#include "testing/sim_runtime.h"

namespace inferq::queue {
namespace {

using model::TaskSpec;

class EphemeralTest : public ::testing::Test {
 protected:
  EphemeralTest() : queue_(MakeLocalQueue(sim_, MakeMemoryJournal(store_), {})) {
    EXPECT_TRUE(sim_.Run(queue_->Open()));
  }
  ~EphemeralTest() override { EXPECT_TRUE(sim_.Run(queue_->Close())); }

  // Submits, claims, starts and completes so many.
  void RunThrough(uint32_t count) {
    TaskSpec spec;
    spec.lane = "m";
    spec.interactive = true;
    spec.ephemeral = true;
    spec.traceparent = std::string(55, '0');
    spec.deadline = sim_.clock().Wall() + std::chrono::hours(1);
    spec.expires_at = spec.deadline;
    ASSERT_TRUE(sim_.Run(queue_->Submit(std::vector<TaskSpec>(count, spec))));
    ClaimRequest claim{.worker = "w", .lanes = {"m"}, .max_tasks = count, .interactive_only = true};
    auto claimed = sim_.Run(queue_->Claim(claim));
    ASSERT_TRUE(claimed);
    ASSERT_EQ(claimed->size(), count);
    std::vector<TaskRef> refs;
    std::vector<Completion> completions;
    for (const ClaimedTask& task : *claimed) {
      refs.push_back({task.id, task.fence});
      completions.push_back({.task = refs.back()});
    }
    for (const auto& item : sim_.Run(queue_->Start(refs))) ASSERT_TRUE(item);
    for (const auto& item : sim_.Run(queue_->Complete(completions))) ASSERT_TRUE(item);
  }

  testing::SimRuntime sim_;
  std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
  std::unique_ptr<Queue> queue_;
};

TEST_F(EphemeralTest, AMillionLeaveNeitherMemoryNorRows) {
  constexpr uint32_t kAtOnce = 1000;
  RunThrough(kAtOnce);
  uint64_t commits = store_->commits();
  size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) RunThrough(kAtOnce);
  EXPECT_LT(mallinfo2().uordblks, before + 100'000) << "less than a byte for each";
  EXPECT_EQ(store_->commits(), commits) << "no commit for any of them";
  EXPECT_EQ(store_->tasks(), 0u);
  EXPECT_EQ(queue_->Waiting("m"), 0u);
}

TEST_F(EphemeralTest, ChargesAreWrittenOnceASecondAtMost) {
  uint64_t before = store_->commits();
  for (int i = 0; i < 100; ++i) {
    RunThrough(1);
    sim_.RunFor(std::chrono::milliseconds(100));
  }
  EXPECT_GE(store_->commits() - before, 8u);
  EXPECT_LE(store_->commits() - before, 10u);
}

}  // namespace
}  // namespace inferq::queue
