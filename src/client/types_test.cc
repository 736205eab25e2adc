#include "client/types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::client {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(Types, ReadsAFile) {
  std::string text = R"({"id":"file-1", "object":"file","bytes":12,"created_at":1700000000,)"
                     R"("expires_at":null,"filename":"a.jsonl","purpose":"batch"})";
  auto file = ParseFile(*wire::ParseJson(text));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->id, "file-1");
  EXPECT_EQ(file->bytes, 12u);
  EXPECT_EQ(file->filename, "a.jsonl");
  EXPECT_EQ(file->created, base::WallTime(1700000000s));
  EXPECT_FALSE(file->expires);
  EXPECT_THAT(file->json, HasSubstr(R"({"id":"file-1","object")"));
}

TEST(Types, ReadsABatchThatFailed) {
  std::string text =
      R"({"id":"batch_1","status":"failed","endpoint":"/v1/chat/completions","failed_at":7,)"
      R"("errors":{"object":"list","data":[{"code":"invalid_url","message":"m","param":"url","line":3},)"
      R"({"code":"x","message":"n","param":null,"line":null}]},"request_counts":null,)"
      R"("output_file_id":null,"usage":{"input_tokens":5,"output_tokens":-1}})";
  auto batch = ParseBatch(*wire::ParseJson(text));
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->ended());
  ASSERT_EQ(batch->problems.size(), 2u);
  EXPECT_EQ(batch->problems[0].line, 3u);
  EXPECT_FALSE(batch->problems[1].line);
  EXPECT_EQ(batch->counts.total, 0u);
  EXPECT_EQ(batch->output_file_id, "");
  EXPECT_EQ(batch->input_tokens, 5u);
  EXPECT_EQ(batch->output_tokens, 0u);
  EXPECT_EQ(batch->ended_at, base::WallTime(7s));
}

TEST(Types, WhatInferqTellsBeyondOpenAI) {
  std::string text = R"({"id":"b","status":"in_progress","paused":true,"retry_of":"a",)"
                     R"("estimate":{"seconds_left":{"p50":1.5,"p90":3}}})";
  auto batch = ParseBatch(*wire::ParseJson(text));
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->paused);
  EXPECT_EQ(batch->retry_of, "a");
  EXPECT_EQ(batch->seconds_left, 1.5);
  EXPECT_EQ(batch->seconds_left_p90, 3);
  text = R"({"id":"b","status":"in_progress","estimate":null})";
  batch = ParseBatch(*wire::ParseJson(text));
  ASSERT_TRUE(batch);
  EXPECT_FALSE(batch->paused);
  EXPECT_FALSE(batch->seconds_left);
}

TEST(Types, WhatIsNoBatchIsRefused) {
  std::string page = R"({"html":true})";
  EXPECT_THAT(ParseBatch(*wire::ParseJson(page)).error().message(), HasSubstr("no id"));
  EXPECT_THAT(ParseFile(*wire::ParseJson(page)).error().message(), HasSubstr("no id"));
  std::string half = R"({"id":"b"})";
  EXPECT_THAT(ParseBatch(*wire::ParseJson(half)).error().message(), HasSubstr("no status"));
}

}  // namespace
}  // namespace inferq::client
