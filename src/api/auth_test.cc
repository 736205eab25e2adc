#include "api/auth.h"

#include <gtest/gtest.h>

namespace inferq::api {
namespace {

KeyRing Keys() {
  return {.required = true, .tenant_of = [](std::string_view key) -> std::optional<std::string> {
            if (key == "sk-acme") return "acme";
            return std::nullopt;
          }};
}

http::Headers Bearing(std::string value) { return {{"Authorization", std::move(value)}}; }

TEST(Authenticate, TheKeyNamesTheTenant) {
  EXPECT_EQ(Authenticate(Keys(), Bearing("Bearer sk-acme"), {}).value(), "acme");
  EXPECT_EQ(Authenticate(Keys(), Bearing("bearer  sk-acme"), {}).value(), "acme");
  EXPECT_EQ(Authenticate(Keys(), Bearing("Bearer sk-acme"), "acme").value(), "acme");
}

TEST(Authenticate, AnotherTenantInThePathIsForbidden) {
  auto refused = Authenticate(Keys(), Bearing("Bearer sk-acme"), "other");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 403);
}

TEST(Authenticate, NoKeyOrAWrongOneIsRefusedWithoutItsText) {
  for (const char* value : {"", "Bearer", "Bearer ", "Basic sk-acme", "sk-acme", "Bearer sk-wrong",
                            "Bearer sk-acme "}) {
    auto refused = Authenticate(Keys(), Bearing(value), {});
    ASSERT_FALSE(refused) << value;
    EXPECT_EQ(refused.error().status, 401);
    EXPECT_EQ(refused.error().code, "invalid_api_key");
    EXPECT_EQ(refused.error().param, "");
    EXPECT_EQ(refused.error().message.find("sk-"), std::string::npos);
  }
  EXPECT_FALSE(Authenticate({.required = true, .tenant_of = {}}, Bearing("Bearer x"), {}));
}

TEST(Authenticate, WithoutKeysThePathDecides) {
  EXPECT_EQ(Authenticate({}, Bearing("Bearer EMPTY"), {}).value(), "default");
  EXPECT_EQ(Authenticate({}, {}, "acme").value(), "acme");
}

}  // namespace
}  // namespace inferq::api
