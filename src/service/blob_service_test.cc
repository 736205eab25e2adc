// Images that requests name by their hash, through restarts, under virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "blob/dir_blob_store.h"
#include "service/image_index.h"
#include "service/service.h"
#include "service/testing/serve_world.h"
#include "wire/image_blobs.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using inferq::testing::SimDisk;
using model::BatchStatus;
using testing::ChatLine;
using testing::ChatLines;
using ::testing::HasSubstr;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

std::string Gif(std::string_view more = "") { return fmt::format("GIF89a{}", more); }

std::string NoId() { return std::string(wire::kBlobPrefix) + std::string(64, '0'); }

// A line that shows images.
std::string ImageLine(const std::string& custom_id, const std::vector<std::string>& ids) {
  std::string parts = R"({"type":"text","text":"what is this?"})";
  for (const std::string& id : ids)
    parts += fmt::format(R"(,{{"type":"image_url","image_url":{{"url":"{}"}}}})", id);
  return fmt::format(
      R"({{"custom_id":"{}","method":"POST","url":"/v1/chat/completions","body":{{"model":"m",)"
      R"("messages":[{{"role":"user","content":[{}]}}],"max_tokens":3}}}})"
      "\n",
      custom_id, parts);
}

class BlobServiceTest : public ::testing::Test {
 protected:
  Process::Options Options() {
    Process::Options options;
    options.adjust = [this](ServiceOptions& service) { service.blobs = limits_; };
    return options;
  }
  static Result<std::string> Put(Process& process, std::string bytes, const Caller& caller = kAnn) {
    INFERQ_ASSIGN(auto blob, process.Do(process.service().PutBlob(caller, std::move(bytes))));
    return blob.id;
  }
  static Result<> Delete(Process& process, const std::string& id, const Caller& caller = kAnn) {
    return process.Do(process.service().DeleteBlob(caller, id));
  }
  static Result<model::FileRecord> Get(Process& process, const std::string& id,
                                       const Caller& caller = kAnn) {
    return process.Do(process.service().GetBlob(caller, id));
  }
  static BatchView Begin(Process& process, std::string text) {
    auto file = process.UploadText(kAnn, std::move(text)).value();
    return process.CreateBatch(kAnn, file.id).value();
  }
  size_t BlobsOnDisk() {
    auto names = disk_.List("/data/blobs").value();
    return static_cast<size_t>(std::ranges::count_if(
        names, [](const std::string& name) { return name.ends_with(".blob"); }));
  }

  SimDisk disk_;
  BlobLimits limits_;
};

TEST_F(BlobServiceTest, TheSameImageIsKeptOnceAndByItsHash) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string id = Put(process, Gif()).value();
  EXPECT_TRUE(wire::IsBlobId(id)) << id;
  EXPECT_EQ(Put(process, Gif()).value(), id);
  EXPECT_EQ(BlobsOnDisk(), 1u);
  EXPECT_NE(Put(process, Gif("x")).value(), id);
  EXPECT_EQ(BlobsOnDisk(), 2u);
  EXPECT_EQ(Get(process, id)->bytes, 6u);
  EXPECT_EQ(Get(process, id, kBob).error().code(), Code::kNotFound);
  EXPECT_EQ(Put(process, Gif(), kBob).value(), id) << "of another tenant's own";
  EXPECT_EQ(BlobsOnDisk(), 3u);
}

TEST_F(BlobServiceTest, SentTwiceAtOnceItIsKeptOnce) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  std::vector<std::string> ids;
  auto put = [](Service* service, std::vector<std::string>* done) -> Awaitable<void> {
    auto blob = co_await service->PutBlob(kAnn, Gif());
    if (blob) done->push_back(blob->id);
  };
  for (int i = 0; i < 3; ++i) process.sim().SpawnDetached(put(&process.service(), &ids));
  process.sim().RunFor(1s);
  EXPECT_THAT(ids, SizeIs(3));
  EXPECT_EQ(BlobsOnDisk(), 1u);
  EXPECT_THAT(process.Do(process.service().ListBlobs(kAnn, "", 10))->records, SizeIs(1));
}

TEST_F(BlobServiceTest, WhatIsNoImageIsRefused) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  for (const char* other : {"", "text", "<svg/>"})
    EXPECT_EQ(Put(process, other).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(BlobsOnDisk(), 0u);
}

TEST_F(BlobServiceTest, ImagesAreNoFiles) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string first = Put(process, Gif("1")).value();
  auto file = process.UploadText(kAnn, "text", "user_data").value();
  const std::string second = Put(process, Gif("2")).value();
  auto files = process.Do(process.service().ListFiles(kAnn, {})).value();
  ASSERT_THAT(files.records, SizeIs(1));
  EXPECT_EQ(files.records[0].id, file.id);
  EXPECT_FALSE(process.Do(process.service().GetFile(kAnn, first)));
  auto newest = process.Do(process.service().ListBlobs(kAnn, "", 1)).value();
  EXPECT_EQ(newest.records[0].id, second);
  EXPECT_TRUE(newest.has_more);
  auto rest = process.Do(process.service().ListBlobs(kAnn, second, 10)).value();
  ASSERT_THAT(rest.records, SizeIs(1));
  EXPECT_EQ(rest.records[0].id, first);
  EXPECT_FALSE(process.Do(process.service().ListBlobs(kBob, second, 10)));
}

TEST_F(BlobServiceTest, AnImageSurvivesAPowerCutAndADeletionToo) {
  std::string kept, deleted;
  {
    Process process(disk_, Options());
    ASSERT_TRUE(process.Start());
    kept = Put(process, Gif("kept")).value();
    deleted = Put(process, Gif("deleted")).value();
    ASSERT_TRUE(Delete(process, deleted));
    base::Rng rng(1);
    disk_.Crash(rng, inferq::testing::CrashMode::kStrict);
  }
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  EXPECT_TRUE(Get(process, kept));
  EXPECT_FALSE(Get(process, deleted));
  EXPECT_EQ(BlobsOnDisk(), 1u);
  BatchView batch = Begin(process, ImageLine("a", {kept}));
  EXPECT_NE(process.AwaitBatch(kAnn, batch.record.id)->record.status, BatchStatus::kFailed);
}

TEST_F(BlobServiceTest, LimitsAreOfEachTenantAndCountWhatIsThere) {
  limits_ = {.count = 2, .bytes = 20};
  std::string first;
  {
    Process process(disk_, Options());
    ASSERT_TRUE(process.Start());
    first = Put(process, Gif("1")).value();
    auto large = Put(process, Gif(std::string(10, 'x')));
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code(), Code::kResourceExhausted);
    EXPECT_THAT(large.error().message(), HasSubstr("blobs.max_bytes"));
    ASSERT_TRUE(Put(process, Gif("2")));
    ASSERT_TRUE(process.Stop());
  }
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  auto third = Put(process, Gif("3"));
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message(), HasSubstr("blobs.max_count"));
  EXPECT_TRUE(Put(process, Gif("1"))) << "is there already";
  EXPECT_TRUE(Put(process, Gif("3"), kBob));
  ASSERT_TRUE(Delete(process, first));
  EXPECT_TRUE(Put(process, Gif("3")));
}

TEST_F(BlobServiceTest, EveryLineThatNamesAMissingImageIsListed) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string there = Put(process, Gif()).value();
  const std::string others = Put(process, Gif("bob"), kBob).value();
  BatchView batch = Begin(process, ImageLine("a", {there}) + ImageLine("b", {there, NoId()}) +
                                       ChatLine("c") + ImageLine("d", {others}));
  auto ended = process.AwaitBatch(kAnn, batch.record.id).value();
  EXPECT_EQ(ended.record.status, BatchStatus::kFailed);
  ASSERT_THAT(ended.record.errors, SizeIs(2));
  EXPECT_EQ(ended.record.errors[0].line, 2u);
  EXPECT_EQ(ended.record.errors[0].code, "blob_not_found");
  EXPECT_EQ(ended.record.errors[0].param, "body.messages");
  EXPECT_THAT(ended.record.errors[0].message, HasSubstr(NoId()));
  EXPECT_EQ(ended.record.errors[1].line, 4u);
}

TEST_F(BlobServiceTest, AnImageIsNotDeletedUnderALiveBatch) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string id = Put(process, Gif()).value();
  BatchView plain = Begin(process, ChatLines(2000));
  ASSERT_EQ(plain.record.status, BatchStatus::kValidating);
  EXPECT_EQ(Delete(process, id).error().code(), Code::kFailedPrecondition) << "may name it yet";
}

TEST_F(BlobServiceTest, ABatchKeepsItsImagesUntilItEnds) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string id = Put(process, Gif()).value();
  BatchView batch = Begin(process, ImageLine("a", {id}) + ChatLines(2000));
  process.sim().RunFor(1s);
  auto running = process.Do(process.service().GetBatch(kAnn, batch.record.id)).value();
  ASSERT_EQ(running.record.status, BatchStatus::kInProgress);
  EXPECT_EQ(running.record.blob_lines, 1u);
  auto refused = Delete(process, id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr(batch.record.id));
  EXPECT_FALSE(Delete(process, id, kBob)) << "not bob's";
  ASSERT_TRUE(process.AwaitBatch(kAnn, batch.record.id));
  EXPECT_TRUE(Delete(process, id));
  EXPECT_EQ(Delete(process, id).error().code(), Code::kNotFound);
}

TEST_F(BlobServiceTest, ABatchWithoutImagesHoldsNone) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  const std::string id = Put(process, Gif()).value();
  BatchView batch = Begin(process, ChatLines(2000));
  process.sim().RunFor(1s);
  ASSERT_EQ(process.Do(process.service().GetBatch(kAnn, batch.record.id))->record.status,
            BatchStatus::kInProgress);
  EXPECT_TRUE(Delete(process, id));
}

TEST_F(BlobServiceTest, AnOnlineRequestWithAMissingImageIsABadOne) {
  Process process(disk_, Options());
  ASSERT_TRUE(process.Start());
  OnlineRequest request;
  request.body = fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":)"
                             R"([{{"type":"image_url","image_url":{{"url":"{}"}}}}]}}]}})",
                             NoId());
  request.model = "m";
  auto answer = process.Do(process.service().Generate(kAnn, request)).value();
  auto delta = process.Do(answer->Next());
  ASSERT_FALSE(delta);
  EXPECT_EQ(delta.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(delta.error().param(), "messages");
  EXPECT_THAT(delta.error().message(), HasSubstr(NoId()));
}

class WithImagesTest : public ::testing::Test {
 protected:
  void Keep(const std::string& id, const std::string& bytes) {
    auto blob = store_->Create().value();
    ASSERT_TRUE(store_->Append(blob, bytes));
    ASSERT_TRUE(store_->Seal(blob));
    index_.Put("ann", id, {blob, bytes.size()});
  }
  static std::string Body(const std::vector<std::string>& ids) {
    std::string line = ImageLine("a", ids);
    return std::string(wire::ParseJson(line)->Find("body")->text());
  }
  Result<std::string> Show(const std::string& body, const std::string& tenant = "ann") {
    return WithImages(index_, *store_, tenant, body);
  }

  SimDisk disk_;
  std::unique_ptr<blob::BlobStore> store_ = blob::DirBlobStore::Open(disk_, "/b").value();
  ImageIndex index_;
};

TEST_F(WithImagesTest, NamesBecomeDataUrlsAndNothingElseChanges) {
  Keep("blob:sha256:1", Gif());
  Keep("blob:sha256:2", "\xFF\xD8\xFF.");
  for (const char* around : {"", " \n"}) {
    EXPECT_EQ(
        Show(around + Body({"blob:sha256:1", "https://a/b", "blob:sha256:2", "blob:sha256:1"}) +
             around),
        around +
            Body({"data:image/gif;base64,R0lGODlh", "https://a/b",
                  "data:image/jpeg;base64,/9j/Lg==", "data:image/gif;base64,R0lGODlh"}) +
            around);
  }
}

TEST_F(WithImagesTest, AnotherTenantsImagesAreNotThere) {
  Keep("blob:sha256:1", Gif());
  auto shown = Show(Body({"blob:sha256:1"}), "bob");
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code(), Code::kInvalidArgument);
}

TEST_F(WithImagesTest, ARequestGrowsToALimitOnly) {
  Keep("blob:sha256:1", Gif(std::string(10u << 20, 'x')));
  EXPECT_TRUE(Show(Body(std::vector<std::string>(4, "blob:sha256:1"))));
  auto shown = Show(Body(std::vector<std::string>(5, "blob:sha256:1")));
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(shown.error().message(), HasSubstr("at most"));
}

}  // namespace
}  // namespace inferq::service
