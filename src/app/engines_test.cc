#include "app/engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(ParseDuration, ReadsNumberAndUnit) {
  EXPECT_EQ(ParseDuration("20ms").value(), 20ms);
  EXPECT_EQ(ParseDuration("1.5s").value(), 1500ms);
  EXPECT_EQ(ParseDuration("300us").value(), 300us);
  EXPECT_EQ(ParseDuration("0s").value(), 0s);
  for (const char* bad : {"", "20", "ms", "-1s", "1h", "1s ", "nans", "1e300s", "infs"}) {
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  }
}

TEST(Engines, TheModelNameComesFromTheFileOrTheBackend) {
  EXPECT_EQ(ModelName({.model = "models/glm-4-9b.gguf"}), "glm-4-9b");
  EXPECT_EQ(ModelName({.model = "glm-4", .backend = "http://x"}), "glm-4");
  EXPECT_EQ(ModelName({.engine = "fake"}), "fake");
}

TEST(Engines, WithoutAnEngineTheChoicesAreNamed) {
  runtime::AsioRuntime runtime;
  auto engine = MakeEngine(runtime, {});
  ASSERT_FALSE(engine);
  EXPECT_THAT(engine.error().message(), HasSubstr("--backend"));
  EXPECT_FALSE(MakeEngine(runtime, {.backend = "http://x", .engine = "fake"}));
}

TEST(Engines, AMissingKeyFileIsNamed) {
  runtime::AsioRuntime runtime;
  auto engine = MakeEngine(runtime, {.backend = "http://x", .api_key_file = "/no/key"});
  ASSERT_FALSE(engine);
  EXPECT_THAT(engine.error().message(), HasSubstr("/no/key"));
}

}  // namespace
}  // namespace inferq::app
