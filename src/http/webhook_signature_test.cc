#include "http/webhook_signature.h"

#include <gtest/gtest.h>

namespace inferq::http {
namespace {

using base::Code;

constexpr base::WallTime kTime{std::chrono::seconds(1'700'000'000)};

// What another implementation (Python's hmac) makes of the same.
TEST(WebhookSigner, SignsAsOthersDo) {
  auto signer = WebhookSigner::Make("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3");
  ASSERT_TRUE(signer) << signer.error().message();
  EXPECT_EQ(signer->Sign("evt_1", kTime, R"({"a":1})"),
            "v1,Z/jkivYuQapEc+CETDjLa/ymTZQRCdBx0WzhKRfU5wI=");
  EXPECT_EQ(WebhookTimestamp(kTime + std::chrono::milliseconds(900)), "1700000000");
}

TEST(WebhookSigner, EveryPartCounts) {
  auto signer = WebhookSigner::Make("whsec_MDEyMzQ1Njc4OWFiY2RlZg==").value();
  const std::string sum = signer.Sign("evt_1", kTime, "text");
  EXPECT_NE(signer.Sign("evt_2", kTime, "text"), sum);
  EXPECT_NE(signer.Sign("evt_1", kTime + std::chrono::seconds(1), "text"), sum);
  EXPECT_NE(signer.Sign("evt_1", kTime, "test"), sum);
  auto other = WebhookSigner::Make("whsec_MDEyMzQ1Njc4OWFiY2RlZw==").value();
  EXPECT_NE(other.Sign("evt_1", kTime, "text"), sum);
}

TEST(WebhookSigner, BadSecretsAreRefusedUnseen) {
  for (const std::string& secret :
       {std::string(), std::string("MDEyMzQ1Njc4OWFiY2RlZg=="), std::string("whsec_"),
        std::string("whsec_MDEyMzQ1Njc4OWFiY2Rl"), std::string("whsec_not base64 at all!!"),
        std::string("whsec_MDEyMzQ1Njc4OWFiY2RlZ"), "whsec_" + std::string(300, 'A')}) {
    auto signer = WebhookSigner::Make(secret);
    ASSERT_FALSE(signer) << secret;
    EXPECT_EQ(signer.error().code(), Code::kInvalidArgument);
    if (secret.size() > 8) {
      EXPECT_EQ(signer.error().message().find(secret.substr(8)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace inferq::http
