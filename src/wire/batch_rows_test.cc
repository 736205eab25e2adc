#include "wire/batch_rows.h"

#include <gtest/gtest.h>

#include "wire/batch_object.h"

namespace inferq::wire {
namespace {

ApiResult<BatchCreate> Create(std::string_view more) {
  return ParseBatchCreate(fmt::format(
      R"({{"input_file_id":"f","endpoint":"/v1/chat/completions","completion_window":"24h"{}}})",
      more));
}

TEST(RowInput, IsReadWithTheBatch) {
  auto batch = Create(
      R"(,"input_format":"csv","template":"Say {{x}}","system":"s","model":"m","body":{"max_tokens": 3})");
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->rows.format, "csv");
  EXPECT_EQ(batch->rows.prompt_template, "Say {{x}}");
  EXPECT_EQ(batch->rows.system, "s");
  EXPECT_EQ(batch->rows.model, "m");
  EXPECT_EQ(batch->rows.body, R"({"max_tokens":3})");
  EXPECT_EQ(Create("")->rows.format, "");
  EXPECT_TRUE(Create(R"(,"input_format":"auto","model":"m","template":null)"));
}

struct BadRows {
  std::string more;
  std::string param;
  std::string code;
};

TEST(RowInput, EveryMistakeIsNamed) {
  for (const BadRows& bad :
       {BadRows{R"(,"input_format":"xlsx","model":"m")", "input_format", "invalid_value"},
        BadRows{R"(,"input_format":7,"model":"m")", "input_format", "invalid_type"},
        BadRows{R"(,"input_format":"csv")", "model", "missing_required_parameter"},
        BadRows{R"(,"template":"x")", "template", "missing_required_parameter"},
        BadRows{R"(,"model":"m")", "model", "missing_required_parameter"},
        BadRows{R"(,"input_format":"csv","model":"m","body":[])", "body", "invalid_type"},
        BadRows{fmt::format(R"(,"input_format":"csv","model":"m","template":"{}")",
                            std::string(kMaxRowText + 1, 'x')),
                "template", "string_above_max_length"}}) {
    auto batch = Create(bad.more);
    ASSERT_FALSE(batch) << bad.more;
    EXPECT_EQ(batch.error().status, 400);
    EXPECT_EQ(batch.error().param, bad.param);
    EXPECT_EQ(batch.error().code, bad.code);
  }
}

TEST(RowInput, RequestsHaveNoRows) {
  auto batch = ParseBatchCreate(
      R"({"requests":[{}],"endpoint":"/v1/completions","completion_window":"24h","input_format":"csv","model":"m"})");
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error().param, "input_format");
}

}  // namespace
}  // namespace inferq::wire
