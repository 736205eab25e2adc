#include "config/api_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace inferq::config {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

TEST(ApiKey, NewOnesAreLongAndDiffer) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.insert(NewApiKey());
  EXPECT_EQ(keys.size(), 100u);
  EXPECT_THAT(*keys.begin(), MatchesRegex("iq-[A-Za-z0-9_-]+"));
  EXPECT_EQ(keys.begin()->size(), 46u);
  EXPECT_TRUE(CheckApiKey(*keys.begin()));
}

TEST(ApiKey, TheHashIsBlake2bOf256Bits) {
  // From Python's hashlib.blake2b(b"abc", digest_size=32).
  EXPECT_EQ(HashApiKey("abc"),
            "blake2b:bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_TRUE(IsApiKeyHash(HashApiKey("abc")));
  for (const char* bad : {"", "blake2b:", "blake2b:12", "iq-abc"}) EXPECT_FALSE(IsApiKeyHash(bad));
  EXPECT_FALSE(IsApiKeyHash(HashApiKey("abc") + "0"));
}

TEST(ApiKey, WeakOnesAreRefusedAndNotRepeated) {
  auto short_one = CheckApiKey("secretsecretsecret1");  // 19
  ASSERT_FALSE(short_one);
  EXPECT_THAT(short_one.error().message(), HasSubstr("19 characters"));
  EXPECT_THAT(short_one.error().message(), Not(HasSubstr("secretsecret")));
  EXPECT_TRUE(CheckApiKey("secretsecretsecret12"));
  EXPECT_FALSE(CheckApiKey("secret secret secret 12"));
  EXPECT_FALSE(CheckApiKey(std::string(513, 'x')));
}

TEST(TenantKeys, FindsTheTenantOfAKey) {
  TenantKeys keys({{HashApiKey("key-of-a"), "a"}, {HashApiKey("key-of-b"), "b"}});
  ASSERT_NE(keys.Find("key-of-a"), nullptr);
  EXPECT_EQ(*keys.Find("key-of-a"), "a");
  EXPECT_EQ(keys.Find("key-of-c"), nullptr);
  EXPECT_EQ(keys.Find(""), nullptr);
  EXPECT_EQ(keys.Find(HashApiKey("key-of-a")), nullptr);  // a stolen hash opens nothing
}

}  // namespace
}  // namespace inferq::config
