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
  EXPECT_EQ(Authenticate(Keys(), Bearing("Bearer sk-acme"), {}).value().tenant, "acme");
  EXPECT_EQ(Authenticate(Keys(), Bearing("bearer  sk-acme"), {}).value().tenant, "acme");
  EXPECT_EQ(Authenticate(Keys(), Bearing("Bearer sk-acme"), "acme").value().tenant, "acme");
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

http::Headers Named(std::string tenant) {
  return {{"Authorization", "Bearer sk-acme"}, {"X-Inferq-Tenant", std::move(tenant)}};
}

TEST(Authenticate, TheHeaderMustAgree) {
  EXPECT_EQ(Authenticate(Keys(), Named("acme"), "acme").value().tenant, "acme");
  auto refused = Authenticate(Keys(), Named("other"), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 403);
  EXPECT_NE(refused.error().message.find("'other', which the header"), std::string::npos);
  EXPECT_EQ(Authenticate(Keys(), Named("a b"), {}).error().status, 400);
}

TEST(Authenticate, WithoutKeysTheHeaderIsTakenBehindThePath) {
  EXPECT_EQ(Authenticate({}, Named("acme"), {}).value().tenant, "acme");
  EXPECT_EQ(Authenticate({}, Named("acme"), "path").value().tenant, "path");
  EXPECT_TRUE(Authenticate({}, Named("acme"), {}).value().named);
  EXPECT_FALSE(Authenticate({}, {}, {}).value().named);
}

TEST(Authenticate, WithoutKeysThePathDecides) {
  EXPECT_EQ(Authenticate({}, Bearing("Bearer EMPTY"), {}).value().tenant, "default");
  EXPECT_EQ(Authenticate({}, {}, "acme").value().tenant, "acme");
}

}  // namespace
}  // namespace inferq::api
