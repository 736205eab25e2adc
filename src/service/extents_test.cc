#include "service/extents.h"

#include <gtest/gtest.h>

#include "blob/dir_blob_store.h"
#include "testing/sim_disk.h"

namespace inferq::service {
namespace {

class ExtentsTest : public ::testing::Test {
 protected:
  blob::BlobId Make(std::string_view bytes) {
    blob::BlobId id = store_->Create().value();
    EXPECT_TRUE(store_->Append(id, bytes));
    EXPECT_TRUE(store_->Seal(id));
    return id;
  }

  inferq::testing::SimDisk disk_;
  std::unique_ptr<blob::BlobStore> store_ = blob::DirBlobStore::Open(disk_, "/blobs").value();
};

TEST_F(ExtentsTest, ComeInTheirOrderWhateverTheOrderOfReading) {
  blob::BlobId a = Make("0123456789" + std::string(100'000, 'x') + "end");
  blob::BlobId b = Make("other");
  auto texts = ReadExtents(
      *store_, {{a, 5, 3}, {b, 1, 4}, {a, 0, 2}, {a, 100'010, 3}, {a, 1, 4}, {a, 5, 3}});
  std::vector<std::string> got;
  for (auto& text : texts) got.push_back(text.value());
  EXPECT_EQ(got, (std::vector<std::string>{"567", "ther", "01", "end", "1234", "567"}));
}

TEST_F(ExtentsTest, OneThatIsMissingDoesNotHarmItsNeighbours) {
  blob::BlobId a = Make("0123456789");
  auto texts = ReadExtents(*store_, {{a, 0, 2}, {a, 8, 5}, {a, 4, 2}, {a + 1000, 0, 1}});
  EXPECT_EQ(texts[0].value(), "01");
  EXPECT_EQ(texts[1].error().code(), base::Code::kDataLoss);
  EXPECT_EQ(texts[2].value(), "45");
  EXPECT_EQ(texts[3].error().code(), base::Code::kNotFound);
}

}  // namespace
}  // namespace inferq::service
