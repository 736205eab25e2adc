// What the contract of the Files API says, beside what service_test.cc has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using inferq::testing::SimDisk;
using testing::ChatLines;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};

class FilesServiceTest : public ::testing::Test {
 protected:
  static std::vector<std::string> IdsOf(const catalog::Page<model::FileRecord>& page) {
    std::vector<std::string> ids;
    for (const model::FileRecord& file : page.records) ids.push_back(file.id);
    return ids;
  }
  static base::Result<catalog::Page<model::FileRecord>> List(Process& process, FileList request) {
    return process.Do(process.service().ListFiles(kAnn, std::move(request)));
  }
  static size_t BlobsOf(SimDisk& disk) {
    size_t blobs = 0;
    for (const std::string& name : disk.List("/data/blobs").value())
      blobs += name.ends_with(".blob");
    return blobs;
  }

  SimDisk disk_;
};

TEST_F(FilesServiceTest, AFileForBatchesHasTheUsualLifetime) {
  Process process(disk_, {.adjust = [](ServiceOptions& options) { options.file_lifetime = 720h; }});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(1)).value();
  EXPECT_EQ(file.expires, file.created + 720h);
  EXPECT_EQ(process.UploadText(kAnn, "text", "user_data")->expires, std::nullopt);
  auto batch = process.CreateBatch(kAnn, file.id).value();
  auto ended = process.AwaitBatch(kAnn, batch.record.id).value();
  auto output = process.Do(process.service().GetFile(kAnn, ended.record.output_file_id)).value();
  EXPECT_EQ(output.expires, output.created + 720h);
}

TEST_F(FilesServiceTest, TheOutputsLifetimeBeginsWithTheOutput) {
  Process process(disk_, {.engine = {.ttft = 30min, .itl = 0ms}});
  ASSERT_TRUE(process.Start());
  auto file = process.UploadText(kAnn, ChatLines(1)).value();
  NewBatch wanted{.input_file_id = file.id,
                  .endpoint = "/v1/chat/completions",
                  .completion_window = "24h",
                  .metadata = {},
                  .output_expires_after = 1h};
  auto batch = process.Do(process.service().CreateBatch(kAnn, wanted)).value();
  auto ended = process.AwaitBatch(kAnn, batch.record.id).value();
  auto output = process.Do(process.service().GetFile(kAnn, ended.record.output_file_id)).value();
  EXPECT_GE(output.created, batch.record.created + 30min);
  EXPECT_EQ(output.expires, output.created + 1h);
}

TEST_F(FilesServiceTest, AnExpiredFileIsGoneAtOnceAndItsBytesSoon) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  auto upload = process.Do(process.service().BeginUpload(kAnn)).value();
  ASSERT_TRUE(process.Do(upload->Append(process.sim(), "text")));
  NewFile wanted{.filename = "a", .purpose = "user_data", .expires_after = 1h};
  auto file = process.Do(process.service().FinishUpload(kAnn, wanted, upload)).value();
  upload.reset();
  // Just past its time, most likely before the sweep comes by.
  process.sim().RunFor(file.created + 1h - process.sim().clock().Wall());
  EXPECT_EQ(process.Do(process.service().GetFile(kAnn, file.id)).error().code(), Code::kNotFound);
  EXPECT_EQ(process.ReadFile(kAnn, file.id).error().code(), Code::kNotFound);
  EXPECT_THAT(IdsOf(*List(process, {})), IsEmpty());
  auto batch = process.CreateBatch(kAnn, file.id).value();
  EXPECT_EQ(process.AwaitBatch(kAnn, batch.record.id)->record.status, model::BatchStatus::kFailed);
  process.sim().RunFor(1min);
  EXPECT_EQ(BlobsOf(disk_), 0u);
}

TEST_F(FilesServiceTest, ListsGoOnBehindAFileThatWasDeleted) {
  std::vector<std::string> ids;
  {
    Process process(disk_, {});
    ASSERT_TRUE(process.Start());
    for (int i = 0; i < 5; ++i) ids.push_back(process.UploadText(kAnn, "x", "user_data")->id);
    auto first = List(process, {.purpose = {}, .after = {}, .limit = 2}).value();
    EXPECT_THAT(IdsOf(first), ElementsAre(ids[4], ids[3]));
    ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, ids[3])));
    ids.push_back(process.UploadText(kAnn, "new", "user_data")->id);
    auto second = List(process, {.purpose = {}, .after = ids[3], .limit = 2}).value();
    EXPECT_THAT(IdsOf(second), ElementsAre(ids[2], ids[1]));
    EXPECT_TRUE(second.has_more);
    EXPECT_EQ(process.Do(process.service().DeleteFile(kAnn, ids[3])).error().code(),
              Code::kNotFound)
        << "it is deleted once";
    ASSERT_TRUE(process.Stop());
  }
  Process process(disk_, {.seed = 2});
  ASSERT_TRUE(process.Start());
  EXPECT_THAT(IdsOf(*List(process, {.purpose = {}, .after = ids[3]})),
              ElementsAre(ids[2], ids[1], ids[0]));
  const Caller bob{.tenant = "bob", .request_id = {}, .traceparent = {}};
  EXPECT_FALSE(process.Do(process.service().ListFiles(bob, {.purpose = {}, .after = ids[3]})));
  process.sim().RunFor(2h);
  EXPECT_EQ(List(process, {.purpose = {}, .after = ids[3]}).error().code(), Code::kNotFound)
      << "its place is not kept for ever";
}

TEST_F(FilesServiceTest, AFileForBatchesMustLookLikeOne) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  for (const char* bad : {"", " \n", "a,b\n1,2\n", "[]"}) {
    auto refused = process.UploadText(kAnn, bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(refused.error().message(), HasSubstr("Invalid file format"));
    EXPECT_EQ(refused.error().param(), "file");
  }
  EXPECT_THAT(process.UploadText(kAnn, "", "user_data").error().message(), HasSubstr("empty"));
}

}  // namespace
}  // namespace inferq::service
