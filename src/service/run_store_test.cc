#include "service/run_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace inferq::service {
namespace {

using testing::HasSubstr;

RunManifest Example() {
  return {.identity = {{"--template", "Say \"{{text}}\""}, {"input", "3 bytes, 00"}},
          .lines_blob = 4,
          .lines = 10,
          .bad_lines = 1,
          .batch = model::BatchId{9},
          .columns = {"id", "文本"}};
}

TEST(RunManifest, RoundTrips) {
  RunManifest read = DecodeManifest(EncodeManifest(Example())).value();
  EXPECT_EQ(read.identity, Example().identity);
  EXPECT_EQ(read.lines_blob, 4u);
  EXPECT_EQ(read.lines, 10u);
  EXPECT_EQ(read.bad_lines, 1u);
  EXPECT_EQ(read.batch, model::BatchId{9});
  EXPECT_EQ(read.columns, Example().columns);
}

TEST(RunManifest, DamageAndNewerFormatsAreToldApart) {
  EXPECT_EQ(DecodeManifest("{").error().code(), base::Code::kDataLoss);
  EXPECT_EQ(DecodeManifest("{\"version\":1}").error().code(), base::Code::kDataLoss);
  EXPECT_EQ(DecodeManifest("{\"version\":3}").error().code(), base::Code::kFailedPrecondition);
}

TEST(RunManifest, SaysWhatDiffers) {
  RunManifest stored = Example();
  EXPECT_EQ(DescribeDifference(stored, stored.identity), "");
  auto now = stored.identity;
  now[0].second = "other";
  EXPECT_THAT(DescribeDifference(stored, now),
              HasSubstr(R"(--template was "Say \"{{text}}\"", now it is "other")"));
  now = stored.identity;
  now[1].second = "4 bytes, 00";
  EXPECT_THAT(DescribeDifference(stored, now), HasSubstr("input is another one"));
  now = stored.identity;
  now.emplace_back("--seed", "7");
  EXPECT_THAT(DescribeDifference(stored, now), HasSubstr("--seed was not set, now it is \"7\""));
}

class RunStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/inferq_store_XXXXXX";
    root_ = mkdtemp(pattern);
  }
  void TearDown() override { EXPECT_TRUE(base::RemoveTree(fs_, root_)); }
  std::unique_ptr<RunStore> Open(bool forget = false) {
    return RunStore::Open(fs_, root_ + "/s", forget).value();
  }

  std::string root_;
  base::FileSystem& fs_ = base::PosixFileSystem();
};

TEST_F(RunStoreTest, WithoutAManifestWhatIsThereIsDropped) {
  {
    auto store = Open();
    blob::BlobId blob = store->blobs().Create().value();
    ASSERT_TRUE(store->blobs().Append(blob, "x"));
    ASSERT_TRUE(store->blobs().Seal(blob));
    ASSERT_TRUE(base::WriteFileAtomically(fs_, store->journal_path(), "x"));
  }
  auto store = Open();
  EXPECT_FALSE(store->manifest());
  EXPECT_TRUE(store->blobs().List().value().empty());
  EXPECT_FALSE(fs_.Exists(store->journal_path()).value());
}

TEST_F(RunStoreTest, WithAManifestEverythingStaysUntilForgotten) {
  blob::BlobId blob = 0;
  {
    auto store = Open();
    blob = store->blobs().Create().value();
    ASSERT_TRUE(store->blobs().Append(blob, "x"));
    ASSERT_TRUE(store->blobs().Seal(blob));
    ASSERT_TRUE(store->SaveManifest(Example()));
  }
  {
    auto store = Open();
    EXPECT_EQ(store->manifest()->lines, 10u);
    EXPECT_THAT(store->blobs().List().value(), testing::ElementsAre(blob));
  }
  auto store = Open(true);
  EXPECT_FALSE(store->manifest());
  EXPECT_TRUE(store->blobs().List().value().empty());
}

}  // namespace
}  // namespace inferq::service
