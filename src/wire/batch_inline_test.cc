#include "wire/batch_inline.h"

#include <gtest/gtest.h>

#include "wire/batch_line.h"
#include "wire/batch_object.h"

namespace inferq::wire {
namespace {

ApiResult<BatchCreate> Create(std::string_view requests, std::string_view more = "") {
  return ParseBatchCreate(
      fmt::format(R"({{"requests":{},"endpoint":"/v1/completions","completion_window":"24h"{}}})",
                  requests, more));
}

TEST(InlineRequests, BecomeLinesWithWhatTheyLeaveOut) {
  auto batch = Create(R"([{"body":{"model":"m","prompt":"a\nb"}},
                          {"custom_id":"x","method":"GET","url":"/v1/other","body":1,"more":2},
                          {"custom_id":null,"body":{}}])");
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->input_file_id, "");
  EXPECT_EQ(batch->input_lines,
            R"({"body":{"model":"m","prompt":"a\nb"},"custom_id":"request-1","method":"POST",)"
            R"("url":"/v1/completions"})"
            "\n"
            R"({"custom_id":"x","method":"GET","url":"/v1/other","body":1,"more":2})"
            "\n"
            R"({"custom_id":"request-3","body":{},"method":"POST","url":"/v1/completions"})"
            "\n");
}

TEST(InlineRequests, AreProperBatchLines) {
  auto batch = Create(R"([{"body":{"model":"m","prompt":"a"}}])");
  ASSERT_TRUE(batch);
  auto line = ParseBatchLine(batch->input_lines, {});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->custom_id, "request-1");
}

struct BadRequests {
  std::string requests;
  std::string param;
  std::string code;
};

TEST(InlineRequests, EveryMistakeIsNamed) {
  for (const BadRequests& bad :
       {BadRequests{"7", "requests", "invalid_type"}, BadRequests{"{}", "requests", "invalid_type"},
        BadRequests{"[]", "requests", "empty_array"},
        BadRequests{R"([{"body":{}},"x"])", "requests[1]", "invalid_type"},
        BadRequests{R"([{"body":{},"body":{}}])", "requests[0]", "duplicate_parameter"}}) {
    auto batch = Create(bad.requests);
    ASSERT_FALSE(batch) << bad.requests;
    EXPECT_EQ(batch.error().status, 400);
    EXPECT_EQ(batch.error().param, bad.param);
    EXPECT_EQ(batch.error().code, bad.code) << bad.requests;
  }
}

TEST(InlineRequests, AFileBesideThemIsRefused) {
  auto batch = Create("[{}]", R"(,"input_file_id":"file-1")");
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error().param, "requests");
  EXPECT_TRUE(Create("[{}]", R"(,"input_file_id":null)"));
}

TEST(InlineRequests, MoreThanTheMostNeedAFile) {
  std::string requests = "[{}";
  for (size_t i = 1; i < kMaxInlineRequests; ++i) requests += ",{}";
  EXPECT_TRUE(Create(requests + "]"));
  auto batch = Create(requests + ",{}]");
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error().code, "array_above_max_length");
  EXPECT_NE(batch.error().message.find("input_file_id"), std::string::npos);
}

}  // namespace
}  // namespace inferq::wire
