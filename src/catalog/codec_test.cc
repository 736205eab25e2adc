#include "catalog/codec.h"

#include <gtest/gtest.h>

namespace inferq::catalog {
namespace {

using base::Code;
using base::Micros;
using base::WallTime;

WallTime At(int64_t micros) { return WallTime(Micros(micros)); }

model::FileRecord SomeFile() {
  return {.id = "file-1",
          .sequence = 300,
          .tenant = "acme",
          .filename = std::string("a\0b", 3) + "\xff.jsonl",
          .purpose = "batch",
          .bytes = UINT64_MAX,
          .blob = 128,
          .created = At(-5),
          .expires = At(1'800'000'000'000'000),
          .removed = true};
}

// Every field differs from its default and from the others.
model::BatchRecord SomeBatch() {
  model::BatchRecord batch;
  batch.id = "batch_2";
  batch.sequence = 301;
  batch.number = model::BatchId{0xffff'0000'0000'0007};
  batch.tenant = "acme";
  batch.endpoint = "/v1/chat/completions";
  batch.input_file_id = "file-1";
  batch.input_blob = 128;
  batch.completion_window = "24h";
  batch.metadata = {{"team", "search"}, {"", "empty key"}};
  batch.output_expires_after = Micros(3'600'000'000);
  batch.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  batch.status = model::BatchStatus::kCancelled;
  batch.model = "m";
  batch.lines = 10'000'000;
  batch.models = {"a", "b"};
  batch.index_blob = 88;
  batch.cost = 300;
  batch.prompt_tokens = 200;
  batch.idempotency_key = "key";
  batch.content_hash = 99;
  batch.errors = {{"invalid_json", "line 3 is no JSON", "body", 3},
                  {"empty_file", "empty", "", {}}};
  batch.output_file_id = "file-3";
  batch.error_file_id = "file-4";
  batch.succeeded = 11;
  batch.failed = 12;
  batch.usage = {
      .input_tokens = 13, .cached_tokens = 14, .distinct_tokens = 12, .output_tokens = 15};
  batch.blob_lines = 17;
  batch.rows = {.format = "csv",
                .prompt_template = "Say {{x}}",
                .system = "be short",
                .model = "m1",
                .body = "{}"};
  batch.deliveries = {{.url = "https://a.example/hook",
                       .status = model::DeliveryStatus::kDelivered,
                       .attempts = 3,
                       .next = At(30),
                       .last = At(31),
                       .last_status = 204,
                       .last_error = "slow"},
                      {.url = "https://b.example/"}};
  batch.created = At(20);
  batch.expires = At(21);
  batch.in_progress = At(22);
  batch.finalizing = At(23);
  batch.completed = At(24);
  batch.failed_at = At(25);
  batch.expired = At(26);
  batch.cancelling = At(27);
  batch.cancelled = At(28);
  batch.priority = -7;
  batch.deadline = At(29);
  batch.paused = true;
  batch.adjusted = true;
  batch.version = 30;
  batch.retry_of = "batch_0";
  batch.retried_by = "batch_9";
  batch.retry_lines = 31;
  batch.retry_blob = 32;
  batch.retry_bytes = 33;
  return batch;
}

TEST(Codec, AFileReadsBackAsItWas) {
  model::FileRecord read;
  ASSERT_TRUE(Decode(Encode(SomeFile()), read));
  EXPECT_EQ(read.id, "file-1");
  EXPECT_EQ(read.sequence, 300u);
  EXPECT_EQ(read.tenant, "acme");
  EXPECT_EQ(read.filename, SomeFile().filename);
  EXPECT_EQ(read.purpose, "batch");
  EXPECT_EQ(read.bytes, UINT64_MAX);
  EXPECT_EQ(read.blob, 128u);
  EXPECT_EQ(read.created, At(-5));
  EXPECT_TRUE(read.removed);
  EXPECT_EQ(read.expires, At(1'800'000'000'000'000));
}

TEST(Codec, ABatchReadsBackAsItWas) {
  model::BatchRecord read;
  std::string bytes = Encode(SomeBatch());
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.id, "batch_2");
  EXPECT_EQ(read.number, SomeBatch().number);
  EXPECT_EQ(read.completion_window, "24h");
  EXPECT_EQ(read.metadata, SomeBatch().metadata);
  EXPECT_EQ(read.output_expires_after, Micros(3'600'000'000));
  EXPECT_EQ(read.status, model::BatchStatus::kCancelled);
  ASSERT_EQ(read.errors.size(), 2u);
  EXPECT_EQ(read.errors[0].message, "line 3 is no JSON");
  EXPECT_EQ(read.errors[0].line, 3u);
  EXPECT_EQ(read.errors[1].line, std::nullopt);
  EXPECT_EQ(read.usage.cached_tokens, 14u);
  EXPECT_EQ(read.usage.distinct_tokens, 12u);
  ASSERT_EQ(read.deliveries.size(), 2u);
  EXPECT_EQ(read.deliveries[0].url, "https://a.example/hook");
  EXPECT_EQ(read.deliveries[0].last_status, 204u);
  EXPECT_EQ(read.deliveries[1].status, model::DeliveryStatus::kPending);
  EXPECT_EQ(read.blob_lines, 17u);
  EXPECT_EQ(read.rows.prompt_template, "Say {{x}}");
  EXPECT_EQ(read.rows.body, "{}");
  EXPECT_EQ(read.cancelling, At(27));
  EXPECT_EQ(read.cancelled, At(28));
  EXPECT_EQ(read.priority, -7);
  EXPECT_EQ(read.deadline, At(29));
  EXPECT_TRUE(read.paused);
  EXPECT_EQ(read.retried_by, "batch_9");
  EXPECT_EQ(Encode(read), bytes) << "a field is lost on the way";
}

TEST(Codec, WhatIsNotSetStaysUnset) {
  model::BatchRecord read = SomeBatch();
  ASSERT_TRUE(Decode(Encode(model::BatchRecord{}), read));
  EXPECT_EQ(Encode(read), Encode(model::BatchRecord{}));
  EXPECT_FALSE(read.completed);
  EXPECT_TRUE(read.metadata.empty());
}

TEST(Codec, NoPartOfARecordReads) {
  std::string bytes = Encode(SomeBatch());
  for (size_t size = 0; size < bytes.size(); ++size) {
    model::BatchRecord read;
    auto decoded = Decode(std::string_view(bytes).substr(0, size), read);
    ASSERT_FALSE(decoded.has_value()) << size;
    ASSERT_EQ(decoded.error().code(), Code::kDataLoss);
  }
  model::BatchRecord read;
  EXPECT_FALSE(Decode(bytes + "x", read));
}

TEST(Codec, AnyBytesAreReadOrRefused) {
  std::string bytes = Encode(SomeBatch());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int byte = 0; byte < 256; byte += 17) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(byte);
      model::BatchRecord read;
      if (Decode(changed, read)) EXPECT_LT(read.status, model::BatchStatus{8});
    }
  }
}

TEST(Codec, AnUnknownVersionIsRefused) {
  std::string bytes = Encode(SomeFile());
  bytes[0] = 99;
  model::FileRecord read;
  EXPECT_FALSE(Decode(bytes, read));
}

TEST(Codec, FilesOfEarlierVersionsAreThere) {
  std::string bytes = Encode(SomeFile());
  bytes.pop_back();
  bytes[0] = 3;
  model::FileRecord read;
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.id, "file-1");
  EXPECT_FALSE(read.removed);
}

TEST(Codec, AnUploadReadsBackAsItWas) {
  model::UploadRecord upload;
  upload.id = "upload_1";
  upload.sequence = 302;
  upload.tenant = "acme";
  upload.filename = "a.jsonl";
  upload.purpose = "batch";
  upload.mime_type = "application/jsonl";
  upload.bytes = 1u << 20;
  upload.expires_after = Micros(3'600'000'000);
  upload.status = model::UploadStatus::kExpired;
  upload.parts = {{.id = "part_1", .blob = 3, .bytes = 4}, {.id = "part_2", .blob = 5, .bytes = 6}};
  upload.file_id = "file-9";
  upload.completion = 7;
  upload.created = At(8);
  upload.expires = At(9);
  upload.ended = At(10);
  std::string bytes = Encode(upload);
  model::UploadRecord read;
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.mime_type, "application/jsonl");
  EXPECT_EQ(read.status, model::UploadStatus::kExpired);
  ASSERT_EQ(read.parts.size(), 2u);
  EXPECT_EQ(read.parts[1].id, "part_2");
  EXPECT_EQ(read.parts[1].blob, 5u);
  EXPECT_EQ(read.parts[1].bytes, 6u);
  EXPECT_EQ(read.ended, At(10));
  EXPECT_EQ(Encode(read), bytes) << "a field is lost on the way";
}

TEST(Codec, BatchesOfEarlierVersionsAreReadWithoutWhatTheyLack) {
  model::BatchRecord batch = SomeBatch();
  batch.deliveries.clear();
  batch.rows = {};
  std::string bytes = Encode(batch);
  model::BatchRecord read;
  ASSERT_TRUE(Decode(bytes, read));
  ASSERT_EQ(read.index_blob, 88u);
  EXPECT_EQ(read.models, SomeBatch().models);
  // Version 5 ended before the deliveries, the lines that name images and the inputs of rows.
  bytes.resize(bytes.size() - 7);
  bytes[0] = 5;
  read = {};
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.priority, -7);
  // Version 4 ended before the priority: 10 bytes, a deadline of 2, two flags, two texts of 8 bytes
  // each, and four numbers.
  bytes.resize(bytes.size() - 10 - 2 - 2 - 1 - 2 * 8 - 3);
  bytes[0] = 4;
  read = {};
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.idempotency_key, "key");
  EXPECT_EQ(read.priority, 0);
  // Version 3 ended before the prompt's tokens, the key and the hash.
  bytes.resize(bytes.size() - 2 - 4 - 1);
  bytes[0] = 3;
  read = {};
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.usage.distinct_tokens, 12u);
  EXPECT_EQ(read.idempotency_key, "");
  EXPECT_EQ(read.priority, 0);
  EXPECT_EQ(read.version, 1u);
  EXPECT_FALSE(read.paused);
  // Version 2 ended before the distinct tokens.
  bytes.resize(bytes.size() - 1);
  bytes[0] = 2;
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.index_blob, 88u);
  // Version 1 ended before: 2 models of 2 bytes each behind their number, the blob, the cost.
  bytes.resize(bytes.size() - 1 - 2 * 2 - 1 - 2);
  bytes[0] = 1;
  ASSERT_TRUE(Decode(bytes, read));
  EXPECT_EQ(read.id, SomeBatch().id);
}

}  // namespace
}  // namespace inferq::catalog
