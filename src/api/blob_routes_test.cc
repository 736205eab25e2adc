#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

using testing::FakeExchange;
using testing::GatewayTest;
using ::testing::HasSubstr;

class BlobsTest : public GatewayTest {
 protected:
  FakeExchange Post(std::string body, std::string type) {
    FakeExchange exchange = Request("POST", "/v1/blobs", std::move(body));
    exchange.head.headers = {{"Content-Type", std::move(type)}};
    Handle(exchange);
    return exchange;
  }
};

std::string Part(std::string_view name, std::string_view value) {
  return fmt::format(
      "--B\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"a.png\"\r\n\r\n{}\r\n", name,
      value);
}

TEST_F(BlobsTest, ABlobIsTheBodyOrThePartOfAForm) {
  EXPECT_THAT(Post("raw", "image/png").answer,
              HasSubstr(R"({"id":"blob:sha256:1","object":"blob","bytes":3,"created":)"));
  EXPECT_EQ(use_cases_.uploaded, "raw");
  EXPECT_EQ(Post(Part("note", "x") + Part("file", "formed") + "--B--\r\n",
                 "multipart/form-data; boundary=B")
                .status,
            200);
  EXPECT_EQ(use_cases_.uploaded, "formed");
}

TEST_F(BlobsTest, BadFormsAreNamed) {
  for (const std::string& form : {Part("note", "x"), Part("file", "a") + Part("file", "b")}) {
    FakeExchange exchange = Post(form + "--B--\r\n", "multipart/form-data; boundary=B");
    EXPECT_EQ(exchange.status, 400);
    EXPECT_EQ(ErrorOf(exchange, "param"), "file");
  }
  EXPECT_EQ(Post(Part("file", "a"), "multipart/form-data; boundary=B").status, 400) << "cut off";
  options_.limits.online = 2;
  EXPECT_EQ(Post("raw", "image/png").status, 413);
}

TEST_F(BlobsTest, BlobsAreFoundListedAndDeleted) {
  EXPECT_THAT(Do("GET", "/v1/blobs/blob:sha256:7").answer, HasSubstr(R"("id":"blob:sha256:7")"));
  EXPECT_EQ(Do("HEAD", "/v1/blobs/blob:sha256:7").status, 200);
  use_cases_.has_more = true;
  FakeExchange page = Do("GET", "/v1/blobs?limit=2&after=blob:sha256:3");
  EXPECT_EQ(use_cases_.after, "blob:sha256:3");
  EXPECT_EQ(use_cases_.limit, 2u);
  EXPECT_THAT(page.answer, HasSubstr(R"("last_id":"blob:sha256:1","has_more":true})"));
  EXPECT_EQ(Do("DELETE", "/v1/blobs/blob:sha256:7").answer,
            R"({"id":"blob:sha256:7","object":"blob","deleted":true})");
  EXPECT_EQ(use_cases_.id, "blob:sha256:7");
}

}  // namespace
}  // namespace inferq::api
