#include "http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::http {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Url, TakesAnAddressApart) {
  auto url = ParseUrl("https://Models.Example:8443/v1/models?x=1");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->address, (runtime::Address{"models.example", 8443, true}));
  EXPECT_EQ(url->target, "/v1/models?x=1");
  EXPECT_EQ(url->Origin(), "https://models.example:8443");
}

TEST(Url, FillsInPortAndPath) {
  EXPECT_EQ(ParseUrl("http://a")->address.port, 80);
  EXPECT_EQ(ParseUrl("HTTPS://a/")->address.port, 443);
  EXPECT_EQ(ParseUrl("http://a")->target, "/");
  EXPECT_EQ(ParseUrl("http://a?q")->target, "/?q");
  EXPECT_EQ(ParseUrl("http://a:80")->Authority(), "a");
}

TEST(Url, ReadsIPv6) {
  auto url = ParseUrl("http://[::1]:9/x");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->address.host, "::1");
  EXPECT_EQ(url->Authority(), "[::1]:9");
  EXPECT_EQ(ParseUrl("http://[::1]")->Authority(), "[::1]");
}

class BadUrl : public testing::TestWithParam<const char*> {};

TEST_P(BadUrl, IsRefused) {
  auto url = ParseUrl(GetParam());
  ASSERT_FALSE(url);
  EXPECT_EQ(url.error().code(), base::Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Urls, BadUrl,
                         testing::Values("", "host:80", "ftp://a", "http://", "http://:80",
                                         "http://a:0", "http://a:65536", "http://a:8x",
                                         "http://[::1", "http://[::1]8", "http://a b",
                                         "http://a/\r\nx", "http://a/\\b", "http://a/#f"));

TEST(Url, RefusesAPasswordWithoutRepeatingIt) {
  auto url = ParseUrl("http://user:hunter2@host/");
  ASSERT_FALSE(url);
  EXPECT_THAT(url.error().message(), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace inferq::http
