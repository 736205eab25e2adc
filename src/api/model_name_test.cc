#include "api/model_name.h"

#include "api/testing/fixture.h"

namespace inferq::api {
namespace {

const std::vector<service::ModelView> kModels = {
    {.name = "glm-4", .owner = "", .since = {}},
    {.name = "odd@name!7", .owner = "", .since = {}},
};

std::string Parsed(std::string_view name) {
  auto parts = ParseModelName(name, kModels);
  if (!parts) return fmt::format("{} {}", parts.error().status, parts.error().param);
  return fmt::format("{} {} {}", parts->model, parts->tenant.value_or("-"),
                     parts->priority ? std::to_string(*parts->priority) : "-");
}

TEST(ParseModelName, TakesTenantAndPriorityOff) {
  EXPECT_EQ(Parsed("glm-4"), "glm-4 - -");
  EXPECT_EQ(Parsed("glm-4@ann"), "glm-4 ann -");
  EXPECT_EQ(Parsed("glm-4!-200"), "glm-4 - -200");
  EXPECT_EQ(Parsed("glm-4@ann!1000"), "glm-4 ann 1000");
}

TEST(ParseModelName, TakesAModelsOwnNameWhole) {
  EXPECT_EQ(Parsed("odd@name!7"), "odd@name!7 - -");
  EXPECT_EQ(Parsed("odd@name!7@ann!3"), "odd@name!7 ann 3");
  EXPECT_EQ(Parsed("other@ann!3"), "other@ann!3 - -");  // so that a 404 names what was asked for
  EXPECT_EQ(Parsed("glm-4@a b"), "glm-4@a b - -");
}

TEST(ParseModelName, RefusesWhatIsNoPriority) {
  for (const char* name : {"glm-4!", "glm-4!high", "glm-4!1001", "glm-4@ann!-1001", "glm-4!1.5"}) {
    EXPECT_EQ(Parsed(name), "400 model") << name;
  }
}

class SettleModelTest : public testing::GatewayTest {
 protected:
  void SetUp() override { use_cases_.model_list = kModels; }
  testing::FakeExchange Chat(const std::string& model, http::Headers headers = {},
                             std::string path = "/v1/chat/completions") {
    use_cases_.steps.push_back({.after = {}, .delta = testing::End(engine::FinishReason::kStop)});
    auto exchange = Request("POST", std::move(path), fmt::format(R"({{"model":"{}"}})", model));
    exchange.head.headers = std::move(headers);
    options_.observe = [this](const AccessRecord& record) { logged_ = record.tenant; };
    Handle(exchange);
    return exchange;
  }
  void RequireKeys() {
    options_.keys = {
        .required = true,
        .tenant_of = [](std::string_view) -> std::optional<std::string> { return "ann"; }};
  }
  std::string logged_;
};

TEST_F(SettleModelTest, WithoutKeysTheNameCountsLast) {
  EXPECT_EQ(Chat("glm-4@bob!5").status, 200);
  EXPECT_EQ(use_cases_.online->model, "glm-4");
  EXPECT_EQ(use_cases_.online->priority, 5);
  EXPECT_EQ(use_cases_.caller.tenant, "bob");
  EXPECT_EQ(logged_, "bob");
  EXPECT_EQ(Chat("glm-4@bob", {{"X-Inferq-Tenant", "eve"}}).status, 200);
  EXPECT_EQ(use_cases_.caller.tenant, "eve");
  EXPECT_EQ(Chat("glm-4@bob", {{"X-Inferq-Tenant", "eve"}}, "/t/dan/v1/chat/completions").status,
            200);
  EXPECT_EQ(use_cases_.caller.tenant, "dan");
  EXPECT_EQ(Chat("glm-4").status, 200);
  EXPECT_EQ(use_cases_.caller.tenant, "default");
  EXPECT_EQ(use_cases_.online->priority, model::kMaxPriority);
}

TEST_F(SettleModelTest, WithKeysTheNameMustAgree) {
  RequireKeys();
  const http::Headers key{{"Authorization", "Bearer x"}};
  EXPECT_EQ(Chat("glm-4@ann", key).status, 200);
  EXPECT_EQ(use_cases_.caller.tenant, "ann");
  use_cases_.online.reset();
  EXPECT_EQ(Chat("glm-4@bob", key).status, 403);
  EXPECT_FALSE(use_cases_.online);
}

TEST_F(SettleModelTest, ThePriorityIsTheNamesThenTheHeaders) {
  EXPECT_EQ(Chat("glm-4", {{"X-Inferq-Priority", "-7"}}).status, 200);
  EXPECT_EQ(use_cases_.online->priority, -7);
  EXPECT_EQ(Chat("glm-4!3", {{"X-Inferq-Priority", "-7"}}).status, 200);
  EXPECT_EQ(use_cases_.online->priority, 3);
  EXPECT_EQ(Chat("glm-4", {{"X-Inferq-Priority", "high"}}).status, 400);
}

}  // namespace
}  // namespace inferq::api
