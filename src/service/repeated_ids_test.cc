#include "service/repeated_ids.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "blob/dir_blob_store.h"
#include "testing/sim_disk.h"

namespace inferq::service {
namespace {

class RepeatedIdsTest : public ::testing::Test {
 protected:
  inferq::testing::SimDisk disk_;
  std::unique_ptr<blob::BlobStore> blobs_ = blob::DirBlobStore::Open(disk_, "/blobs").value();
  RepeatedIds ids_{*blobs_};
};

TEST_F(RepeatedIdsTest, NamesTheFirstLineOfEachRepeat) {
  for (auto [id, line] : {std::pair{"a", 1}, {"b", 2}, {"a", 5}, {"c", 6}, {"a", 9}})
    ASSERT_TRUE(ids_.Add(id, static_cast<uint64_t>(line)));
  auto found = ids_.Finish(10).value();
  ASSERT_EQ(found.count, 2u);
  EXPECT_EQ(found.repeats[0].line, 5u);
  EXPECT_EQ(found.repeats[0].first, 1u);
  EXPECT_EQ(found.repeats[1].line, 9u);
  EXPECT_EQ(found.repeats[1].first, 1u);
}

TEST_F(RepeatedIdsTest, FindsThemAmongManyAndLeavesNothingBehind) {
  base::Rng rng(3);
  std::map<std::string, uint64_t> first;
  std::map<uint64_t, uint64_t> repeats;
  constexpr uint64_t kLines = 600'000;  // most parts go to the blob and back
  for (uint64_t line = 1; line <= kLines; ++line) {
    uint64_t number = rng.Chance(0.001) ? rng.Below(line) : line + kLines;
    std::string id = "id-" + std::to_string(number);
    auto [known, is_new] = first.emplace(id, line);
    if (!is_new) repeats[line] = known->second;
    ASSERT_TRUE(ids_.Add(id, line));
  }
  auto found = ids_.Finish(20).value();
  EXPECT_EQ(found.count, repeats.size());
  ASSERT_EQ(found.repeats.size(), std::min<size_t>(20, repeats.size()));
  auto expected = repeats.begin();
  for (const auto& repeat : found.repeats) {
    EXPECT_EQ(repeat.line, expected->first);
    EXPECT_EQ(repeat.first, expected->second);
    ++expected;
  }
  for (const std::string& name : disk_.List("/blobs").value()) EXPECT_EQ(name, "ids");
}

TEST_F(RepeatedIdsTest, ABlobThatCannotBeWrittenIsAnError) {
  disk_.FailOperation(disk_.operations() + 1, inferq::testing::DiskFault::kNoSpace);
  bool failed = false;
  for (uint64_t line = 1; line < 600'000 && !failed; ++line)
    failed = !ids_.Add(std::to_string(line), line);
  EXPECT_TRUE(failed);
}

}  // namespace
}  // namespace inferq::service
