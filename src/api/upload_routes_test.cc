#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using base::Code;
using base::Error;
using ::testing::ElementsAre;
using testing::FakeExchange;
using testing::GatewayTest;
using ::testing::HasSubstr;

constexpr const char* kBody =
    R"({"purpose":"batch","filename":"a.jsonl","bytes":7,"mime_type":"application/jsonl"})";

class UploadsTest : public GatewayTest {
 protected:
  FakeExchange SendPart(std::string_view name, std::string bytes,
                        std::string_view filename = "blob") {
    std::string form = fmt::format("--B\r\nContent-Disposition: form-data; name=\"{}\"", name);
    if (!filename.empty()) form += fmt::format("; filename=\"{}\"", filename);
    form += "\r\n\r\n" + bytes + "\r\n--B--\r\n";
    FakeExchange exchange = Request("POST", "/v1/uploads/upload_1/parts", form);
    exchange.head.headers = {{"Content-Type", "multipart/form-data; boundary=B"}};
    Handle(exchange);
    return exchange;
  }
};

TEST_F(UploadsTest, AnUploadIsMade) {
  FakeExchange exchange = Do("POST", "/v1/uploads", kBody);
  EXPECT_EQ(exchange.status, 200) << exchange.answer;
  EXPECT_THAT(exchange.answer, HasSubstr(R"("object":"upload")"));
  EXPECT_THAT(exchange.answer, HasSubstr(R"("status":"pending","file":null})"));
  ASSERT_TRUE(use_cases_.new_upload);
  EXPECT_EQ(use_cases_.new_upload->bytes, 7u);
  EXPECT_EQ(use_cases_.new_upload->mime_type, "application/jsonl");
}

TEST_F(UploadsTest, MoreBytesThanAreTakenAreRefused) {
  options_.limits.parts = 6;
  FakeExchange exchange = Do("POST", "/v1/uploads", kBody);
  EXPECT_EQ(exchange.status, 400);
  EXPECT_EQ(ErrorOf(exchange, "param"), "bytes");
  EXPECT_EQ(ErrorOf(exchange, "code"), "integer_above_max_value");
  EXPECT_FALSE(use_cases_.new_upload);
}

TEST_F(UploadsTest, APartGoesOnAsItComes) {
  FakeExchange exchange = SendPart("data", std::string(300'000, 'x'));
  EXPECT_EQ(exchange.status, 200) << exchange.answer;
  EXPECT_EQ(use_cases_.id, "upload_1");
  EXPECT_EQ(use_cases_.uploaded.size(), 300'000u);
  EXPECT_EQ(use_cases_.appends.size(), 2u);
  EXPECT_THAT(exchange.answer, HasSubstr(R"("object":"upload.part")"));
}

TEST_F(UploadsTest, WhatIsNoPartIsRefusedAndLeavesNothing) {
  FakeExchange other = SendPart("file", "x");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(ErrorOf(other, "param"), "data");
  EXPECT_EQ(ErrorOf(other, "code"), "missing_required_parameter");
  FakeExchange plain = SendPart("data", "x", "");
  EXPECT_EQ(plain.status, 400);
  EXPECT_THAT(ErrorOf(plain, "message"), HasSubstr("filename"));
  options_.limits.part = 7;
  FakeExchange large = SendPart("data", "12345678");
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(ErrorOf(large, "param"), "data");
  EXPECT_EQ(use_cases_.uploads_alive, 0);
  EXPECT_EQ(SendPart("data", "1234567").status, 200);
}

TEST_F(UploadsTest, ItIsCompletedWithItsFile) {
  FakeExchange exchange =
      Do("POST", "/v1/uploads/upload_1/complete", R"({"part_ids":["part_2","part_1"]})");
  EXPECT_EQ(exchange.status, 200) << exchange.answer;
  EXPECT_THAT(use_cases_.completion->part_ids, ElementsAre("part_2", "part_1"));
  EXPECT_THAT(exchange.answer, HasSubstr(R"("status":"completed","file":{"id":"file-new")"));
}

TEST_F(UploadsTest, ItIsCancelled) {
  FakeExchange exchange = Do("POST", "/v1/uploads/upload_1/cancel");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_THAT(exchange.answer, HasSubstr(R"("status":"cancelled")"));
  use_cases_.fail = Error(Code::kFailedPrecondition, "upload_1 has status 'completed'");
  FakeExchange refused = Do("POST", "/v1/uploads/upload_1/cancel");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.Header("x-should-retry"), "false");
}

}  // namespace
}  // namespace inferq::api
