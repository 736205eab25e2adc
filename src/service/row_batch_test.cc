// Batches of CSV and JSON: rows become requests while they are checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/service.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using inferq::testing::SimDisk;
using model::BatchStatus;
using ::testing::HasSubstr;
using testing::Process;
using ::testing::SizeIs;

const Caller kAnn{.tenant = "ann", .request_id = {}, .traceparent = {}};

class RowBatchTest : public ::testing::Test {
 protected:
  RowBatchTest() { EXPECT_TRUE(process_.Start()); }

  std::string Upload(std::string text, std::string purpose = "user_data") {
    return process_.UploadText(kAnn, std::move(text), std::move(purpose)).value().id;
  }
  BatchView Run(const std::string& text, model::RowInput rows,
                const std::string& endpoint = "/v1/chat/completions") {
    NewBatch batch{.input_file_id = Upload(text),
                   .rows = std::move(rows),
                   .endpoint = endpoint,
                   .completion_window = "24h",
                   .metadata = {},
                   .output_expires_after = {}};
    auto made = process_.Do(process_.service().CreateBatch(kAnn, batch)).value();
    auto ended = process_.AwaitBatch(kAnn, made.record.id).value();
    process_.sim().RunFor(1s);
    return ended;
  }
  size_t SealedBlobs() {
    auto names = disk_.List("/data/blobs").value();
    return static_cast<size_t>(std::ranges::count_if(
        names, [](const std::string& name) { return name.ends_with(".blob"); }));
  }

  SimDisk disk_;
  Process process_{disk_, {}};
};

TEST_F(RowBatchTest, RowsOfEveryFormatRun) {
  const model::RowInput csv{.format = "csv",
                            .prompt_template = "Classify: {{text}}",
                            .system = "Be short.",
                            .model = "m",
                            .body = R"({"max_tokens":3})"};
  BatchView batch = Run("id;text\na;\"one; two\"\nb;three\n", csv);
  EXPECT_EQ(batch.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(batch.record.model, "m");
  auto lines = process_.CountLines(kAnn, batch).value();
  EXPECT_THAT(lines, SizeIs(2));
  EXPECT_TRUE(lines.contains("a"));
  model::RowInput json = csv;
  json.format = "json";
  EXPECT_EQ(Run(R"([{"text":"x"},{"text":"y"},{"text":"z"}])", json).succeeded, 3u);
  json.format = "jsonl";
  EXPECT_EQ(Run("{\"text\":\"x\"}\n{\"text\":\"y\"}\n", json).succeeded, 2u);
  json.format = "auto";
  json.prompt_template.clear();
  EXPECT_EQ(Run("\"plain\"\n\"strings\"\n", json).succeeded, 2u);
}

TEST_F(RowBatchTest, OnlyFilesAreLeftInTheStore) {
  BatchView batch = Run("text\nx\ny\n", {.format = "csv", .model = "m"});
  ASSERT_EQ(batch.record.status, BatchStatus::kCompleted);
  EXPECT_EQ(SealedBlobs(), 2u) << "the input and the output";
  BatchView failed = Run("text\nx,y\n", {.format = "csv", .model = "m"});
  ASSERT_EQ(failed.record.status, BatchStatus::kFailed);
  EXPECT_EQ(SealedBlobs(), 3u);
}

TEST_F(RowBatchTest, BadRowsAreListedByTheirLine) {
  BatchView batch =
      Run("id,text\na,\"two\nlines\"\nb,x,too many\nc,fine\nd\n", {.format = "csv", .model = "m"});
  EXPECT_EQ(batch.record.status, BatchStatus::kFailed);
  ASSERT_THAT(batch.record.errors, SizeIs(2));
  EXPECT_EQ(batch.record.errors[0].line, 4u);
  EXPECT_THAT(batch.record.errors[0].message, HasSubstr("columns"));
  EXPECT_EQ(batch.record.errors[1].line, 6u);
  EXPECT_EQ(batch.total, 0u);
}

TEST_F(RowBatchTest, WhatIsWrongAsAWholeIsSaidOnce) {
  BatchView unknown =
      Run("text\nx\n", {.format = "csv", .prompt_template = "{{nothing}}", .model = "m"});
  ASSERT_THAT(unknown.record.errors, SizeIs(1));
  EXPECT_THAT(unknown.record.errors[0].message, HasSubstr("nothing"));
  BatchView model = Run("text\nx\ny\n", {.format = "csv", .model = "none"});
  ASSERT_THAT(model.record.errors, SizeIs(1));
  EXPECT_EQ(model.record.errors[0].code, "model_not_found");
  BatchView empty = Run("text\n", {.format = "csv", .model = "m"});
  ASSERT_THAT(empty.record.errors, SizeIs(1));
  EXPECT_EQ(empty.record.errors[0].code, "empty_file");
  BatchView torn = Run("text\n\"x\n", {.format = "csv", .model = "m"});
  EXPECT_THAT(torn.record.errors, SizeIs(1));
  BatchView twice = Run("id,text\na,x\na,y\n", {.format = "csv", .model = "m"});
  ASSERT_THAT(twice.record.errors, SizeIs(1));
  EXPECT_EQ(twice.record.errors[0].code, "duplicate_custom_id");
  for (const BatchView& batch : {unknown, model, empty, torn, twice})
    EXPECT_EQ(batch.record.status, BatchStatus::kFailed);
}

TEST_F(RowBatchTest, TheInputMayBeDeletedAtOnce) {
  NewBatch batch{.input_file_id = Upload("text\nx\ny\n"),
                 .rows = {.format = "csv", .model = "m"},
                 .endpoint = "/v1/chat/completions",
                 .completion_window = "24h",
                 .metadata = {},
                 .output_expires_after = {}};
  auto made = process_.Do(process_.service().CreateBatch(kAnn, batch)).value();
  ASSERT_TRUE(process_.Do(process_.service().DeleteFile(kAnn, batch.input_file_id)));
  EXPECT_EQ(process_.AwaitBatch(kAnn, made.record.id)->succeeded, 2u);
}

TEST_F(RowBatchTest, AFileOfRowsIsTakenForBatchesByItsName) {
  auto finish = [this](const std::string& name, const std::string& text) {
    auto upload = process_.Do(process_.service().BeginUpload(kAnn)).value();
    EXPECT_TRUE(process_.Do(upload->Append(process_.sim(), text)));
    NewFile file{.filename = name, .purpose = "batch", .expires_after = {}};
    return process_.Do(process_.service().FinishUpload(kAnn, file, upload));
  };
  for (const char* name : {"a.csv", "a.tsv", "a.json"}) EXPECT_TRUE(finish(name, "text\nx\n"));
  EXPECT_FALSE(finish("a.jsonl", "text\nx\n"));
  EXPECT_FALSE(finish("a.txt", "text\nx\n"));
  EXPECT_FALSE(finish("a.csv", "\x1F\x8B\x08..."));
}

}  // namespace
}  // namespace inferq::service
