#include "service/run_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::service {
namespace {

TEST(RunLine, ARequestRoundTrips) {
  RunLine line{.custom_id = "a \"quoted\" 标识",
               .line = 7,
               .request = R"({"body":{"x":[1, 2]}})",
               .columns = {"7", "多行\ntext"},
               .bad_code = {},
               .bad_message = {}};
  RunLine read = DecodeRunLine(EncodeRunLine(line)).value();
  EXPECT_EQ(read.custom_id, line.custom_id);
  EXPECT_EQ(read.line, 7u);
  EXPECT_EQ(read.request, line.request);
  EXPECT_EQ(read.columns, line.columns);
  EXPECT_FALSE(read.bad());
}

TEST(RunLine, ABadLineRoundTrips) {
  RunLine line{.custom_id = "line-3",
               .line = 3,
               .request = {},
               .columns = {},
               .bad_code = "invalid_json_line",
               .bad_message = "This line is not JSON."};
  RunLine read = DecodeRunLine(EncodeRunLine(line)).value();
  EXPECT_TRUE(read.bad());
  EXPECT_EQ(read.bad_message, line.bad_message);
}

TEST(RunLine, IsOnePhysicalLineWhateverTheRequestLooksLike) {
  RunLine line{.custom_id = "a",
               .line = 1,
               .request = "{\n  \"body\": {}\r\n}",
               .columns = {},
               .bad_code = {},
               .bad_message = {}};
  std::string text = EncodeRunLine(line);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(text.find('\r'), text.npos);
}

TEST(RunLine, DamageIsDataLoss) {
  for (const char* text : {"", "{", "[]", R"({"custom_id":"a"})"}) {
    EXPECT_EQ(DecodeRunLine(text).error().code(), base::Code::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace inferq::service
