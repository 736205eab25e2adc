#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "blob/md5.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using inferq::testing::SimDisk;
using model::UploadStatus;
using testing::ChatLines;
using ::testing::HasSubstr;
using testing::Process;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};
const Caller kBob{.tenant = "bob", .request_id = {}, .traceparent = {}};

Awaitable<Result<PartView>> SendPart(Process* process, std::string id, std::string bytes,
                                     Caller caller) {
  INFERQ_CO_ASSIGN(auto upload, co_await process->service().BeginUpload(caller));
  INFERQ_CO_TRY(co_await upload->Append(process->sim(), std::move(bytes)));
  co_return co_await process->service().FinishPart(caller, std::move(id), std::move(upload));
}

class UploadServiceTest : public ::testing::Test {
 protected:
  static std::string Create(Process& process, uint64_t bytes, std::string purpose = "user_data") {
    NewUpload upload{.filename = "a.jsonl",
                     .purpose = std::move(purpose),
                     .mime_type = "application/jsonl",
                     .bytes = bytes,
                     .expires_after = {}};
    return process.Do(process.service().CreateUpload(kAnn, std::move(upload))).value().record.id;
  }
  static Result<std::string> Part(Process& process, const std::string& id, std::string bytes,
                                  const Caller& caller = kAnn) {
    INFERQ_ASSIGN(PartView part, process.Do(SendPart(&process, id, std::move(bytes), caller)));
    return part.id;
  }
  static Result<UploadView> Complete(Process& process, const std::string& id,
                                     std::vector<std::string> parts, std::string md5 = {},
                                     const Caller& caller = kAnn) {
    UploadCompletion call{.part_ids = std::move(parts), .md5 = std::move(md5)};
    return process.Do(process.service().CompleteUpload(caller, id, std::move(call)));
  }
  static Result<UploadView> Cancel(Process& process, const std::string& id) {
    return process.Do(process.service().CancelUpload(kAnn, id));
  }
  size_t Blobs() {
    size_t blobs = 0;
    for (const std::string& name : disk_.List("/data/blobs").value()) {
      blobs += name.ends_with(".blob") || name.ends_with(".part");
    }
    return blobs;
  }
  // Deletions are done in the background.
  size_t BlobsLater(Process& process) {
    process.sim().RunFor(1s);
    return Blobs();
  }

  SimDisk disk_;
};

TEST_F(UploadServiceTest, PartsBecomeAFileInTheOrderAskedFor) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 11);
  std::string world = Part(process, id, "world").value();
  std::string unused = Part(process, id, "unused").value();
  std::string hello = Part(process, id, "hello ").value();
  auto done = Complete(process, id, {hello, world});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->record.status, UploadStatus::kCompleted);
  ASSERT_TRUE(done->file);
  EXPECT_EQ(done->file->bytes, 11u);
  EXPECT_EQ(done->file->filename, "a.jsonl");
  EXPECT_EQ(process.ReadFile(kAnn, done->file->id).value(), "hello world");
  EXPECT_EQ(BlobsLater(process), 1u) << "the parts are gone";
}

TEST_F(UploadServiceTest, AnUploadsFileRunsAsABatch) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string text = ChatLines(30);
  std::string id = Create(process, text.size(), "batch");
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size(); at += 1000) {
    parts.push_back(Part(process, id, text.substr(at, 1000)).value());
  }
  auto done = Complete(process, id, parts).value();
  auto batch = process.CreateBatch(kAnn, done.file->id).value();
  EXPECT_EQ(process.AwaitBatch(kAnn, batch.record.id)->succeeded, 30u);
}

TEST_F(UploadServiceTest, ASinglePartIsNotCopied) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 5);
  std::string part = Part(process, id, "hello").value();
  uint64_t used = disk_.used();
  auto done = Complete(process, id, {part}).value();
  EXPECT_EQ(process.ReadFile(kAnn, done.file->id).value(), "hello");
  EXPECT_EQ(BlobsLater(process), 1u);
  EXPECT_LT(disk_.used(), used + 100'000);
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, done.file->id)));
  EXPECT_EQ(BlobsLater(process), 0u);
}

TEST_F(UploadServiceTest, WhatDoesNotMatchIsNamedAndCanBeMended) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 10);
  std::string a = Part(process, id, "hello").value();
  std::string b = Part(process, id, "world").value();
  auto param = [&](std::vector<std::string> parts, std::string md5 = {}) {
    auto refused = Complete(process, id, std::move(parts), std::move(md5));
    if (refused) return std::string("accepted");
    EXPECT_EQ(refused.error().code(), Code::kInvalidArgument) << refused.error().message();
    return refused.error().param();
  };
  EXPECT_EQ(param({a, "part_none"}), "part_ids[1]");
  EXPECT_EQ(param({a, a}), "part_ids[1]");
  EXPECT_EQ(param({a}), "part_ids");
  EXPECT_EQ(param({a, b}, std::string(32, '0')), "md5");
  EXPECT_EQ(BlobsLater(process), 2u) << "what was put together in vain is gone";
  blob::Md5 sum;
  sum.Add("helloworld");
  EXPECT_TRUE(Complete(process, id, {a, b}, sum.Finish().value()));
}

TEST_F(UploadServiceTest, AFileForBatchesMustLookLikeOne) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 4, "batch");
  std::string a = Part(process, id, "a,").value();
  std::string b = Part(process, id, "b\n").value();
  auto refused = Complete(process, id, {a, b});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("Invalid file format"));
}

TEST_F(UploadServiceTest, TheSameCallAgainHasTheSameAnswer) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 10);
  std::string a = Part(process, id, "hello").value();
  std::string b = Part(process, id, "world").value();
  auto first = Complete(process, id, {a, b}).value();
  auto again = Complete(process, id, {a, b}).value();
  EXPECT_EQ(again.file->id, first.file->id);
  EXPECT_EQ(Complete(process, id, {b, a}).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Part(process, id, "more").error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Cancel(process, id).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(process.Do(process.service().DeleteFile(kAnn, first.file->id)));
  EXPECT_FALSE(Complete(process, id, {a, b})->file) << "a file that is gone is not shown";
  process.sim().RunFor(25h);
  EXPECT_EQ(Complete(process, id, {a, b}).error().code(), Code::kNotFound) << "it is forgotten";
}

Awaitable<void> CompleteInto(Service* service, std::string id, UploadCompletion call,
                             std::vector<std::string>* files) {
  auto done = co_await service->CompleteUpload(kAnn, std::move(id), std::move(call));
  files->push_back(done ? done->file->id : done.error().ToString());
}

TEST_F(UploadServiceTest, ACallThatComesAgainMeanwhileJoinsTheFirst) {
  Process process(disk_, {.blocking_delay = 20ms});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 10);
  UploadCompletion call{
      .part_ids = {Part(process, id, "hello").value(), Part(process, id, "world").value()},
      .md5 = {}};
  std::vector<std::string> files;
  for (int i = 0; i < 3; ++i) {
    process.sim().SpawnDetached(CompleteInto(&process.service(), id, call, &files));
  }
  process.sim().RunFor(2s);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_THAT(files, ::testing::Each(files[0]));
  EXPECT_EQ(BlobsLater(process), 1u);
}

TEST_F(UploadServiceTest, CancellingFreesThePartsAlsoWhileTheyArePutTogether) {
  Process process(disk_, {.blocking_delay = 20ms});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 10);
  UploadCompletion call{
      .part_ids = {Part(process, id, "hello").value(), Part(process, id, "world").value()},
      .md5 = {}};
  std::vector<std::string> files;
  process.sim().SpawnDetached(CompleteInto(&process.service(), id, call, &files));
  process.sim().RunFor(1ms);
  EXPECT_EQ(Cancel(process, id)->record.status, UploadStatus::kCancelled);
  process.sim().RunFor(2s);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files[0], HasSubstr("'cancelled'"));
  EXPECT_EQ(BlobsLater(process), 0u);
  EXPECT_EQ(Cancel(process, id)->record.status, UploadStatus::kCancelled)
      << "once more is no error";
}

TEST_F(UploadServiceTest, AfterAnHourItExpiresAndFreesItsParts) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 5);
  std::string part = Part(process, id, "hello").value();
  process.sim().RunFor(1h);
  auto late = Complete(process, id, {part});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(late.error().message(), HasSubstr("'expired'"));
  EXPECT_EQ(Part(process, id, "x").error().code(), Code::kFailedPrecondition);
  process.sim().RunFor(1min);
  EXPECT_EQ(BlobsLater(process), 0u);
}

TEST_F(UploadServiceTest, PartsOutliveTheProcess) {
  std::string id, first;
  {
    Process process(disk_, {});
    ASSERT_TRUE(process.Start());
    id = Create(process, 10);
    first = Part(process, id, "hello").value();
    disk_.CrashAtOperation(disk_.operations() + 1);
    EXPECT_FALSE(Part(process, id, "lost"));
  }
  base::Rng rng(1);
  disk_.Crash(rng, inferq::testing::CrashMode::kStrict);
  Process process(disk_, {.seed = 2});
  ASSERT_TRUE(process.Start());
  EXPECT_EQ(Blobs(), 1u);
  std::string second = Part(process, id, "world").value();
  auto done = Complete(process, id, {first, second}).value();
  EXPECT_EQ(process.ReadFile(kAnn, done.file->id).value(), "helloworld");
}

TEST_F(UploadServiceTest, ADiskThatGetsFullMeanwhileIsToldAndTheUploadStaysPending) {
  uint64_t free = uint64_t{1} << 30;
  Process process(disk_, {.blocking_delay = 20ms,
                          .adjust = [](ServiceOptions& options) { options.room_check = 1ms; },
                          .free_bytes = [&free]() -> Result<uint64_t> { return free; }});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 100);
  UploadCompletion call;
  for (int i = 0; i < 100; ++i) call.part_ids.push_back(Part(process, id, "x").value());
  std::vector<std::string> files;
  process.sim().SpawnDetached(CompleteInto(&process.service(), id, call, &files));
  process.sim().RunFor(1ms);
  free = 0;
  process.sim().RunFor(5s);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files[0], HasSubstr("disk of the server is full"));
  EXPECT_EQ(Blobs(), 100u) << "what was written in vain is gone";
  free = uint64_t{1} << 30;
  process.sim().RunFor(1s);
  EXPECT_TRUE(Complete(process, id, call.part_ids));
}

TEST_F(UploadServiceTest, OthersUploadsDoNotExist) {
  Process process(disk_, {});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 5);
  std::string part = Part(process, id, "hello").value();
  EXPECT_EQ(Part(process, id, "hello", kBob).error().code(), Code::kNotFound);
  EXPECT_EQ(Complete(process, id, {part}, "", kBob).error().code(), Code::kNotFound);
  EXPECT_EQ(process.Do(process.service().CancelUpload(kBob, id)).error().code(), Code::kNotFound);
  EXPECT_TRUE(Complete(process, id, {part}));
}

TEST_F(UploadServiceTest, EveryBoundAnswers) {
  Process process(disk_, {.adjust = [](ServiceOptions& options) {
                    options.uploads.parts = 3;
                    options.uploads.pending = 2;
                  }});
  ASSERT_TRUE(process.Start());
  std::string id = Create(process, 5);
  EXPECT_EQ(Part(process, id, "").error().param(), "data");
  EXPECT_EQ(Part(process, id, std::string(11, 'x')).error().param(), "data");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Part(process, id, "abc"));
  EXPECT_THAT(Part(process, id, "a").error().message(), HasSubstr("3 parts"));
  EXPECT_EQ(BlobsLater(process), 3u) << "what is refused leaves nothing";
  Create(process, 5);
  NewUpload more{
      .filename = "a", .purpose = "user_data", .mime_type = "x", .bytes = 1, .expires_after = {}};
  EXPECT_EQ(process.Do(process.service().CreateUpload(kAnn, more)).error().code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(process.Do(process.service().CreateUpload(kBob, more)));
  ASSERT_TRUE(Cancel(process, id));
  EXPECT_TRUE(process.Do(process.service().CreateUpload(kAnn, more)));
}

}  // namespace
}  // namespace inferq::service
