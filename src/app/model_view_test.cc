#include "app/model_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/model_bench.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using engine::llama::ModelFacts;
using testing::HasSubstr;
using testing::Not;

ModelFacts Glm() {
  ModelFacts facts;
  facts.architecture = "glm4";
  facts.name = "glm \x1b[31m4";
  facts.kind = "model";
  facts.file_type = "Q4_K - Medium";
  facts.types = {{.type = "q4_K", .tensors = 2, .elements = 1000, .bytes = 600}};
  facts.parameters = 9'400'000'000;
  facts.tensor_bytes = 1000;
  facts.heads = 32;
  facts.kv_heads = 2;
  facts.key_length = facts.value_length = 128;
  facts.trained_context = 131'072;
  facts.chat_template = "{% first %}\nsecond";
  facts.kv_bytes_per_token = 10;
  return facts;
}

TEST(FitOf, CountsWhatIsLeftBesideTheWeights) {
  const Fit fit = FitOf(Glm(), {.available_bytes = 1000 + 81'920 * 3 + 1, .context_tokens = 0});
  EXPECT_EQ(fit.context_tokens, 8192u);
  EXPECT_EQ(fit.sequence_bytes, 81'920u);
  EXPECT_EQ(fit.sequences, 3u);
  EXPECT_EQ(fit.slots, 1u);
  EXPECT_EQ(FitOf(Glm(), {.available_bytes = 2000, .context_tokens = 100}).sequences, 1u);
}

TEST(FitOf, NonsenseStaysInRange) {
  ModelFacts facts = Glm();
  facts.kv_bytes_per_token = facts.trained_context = UINT64_MAX;
  const Fit fit = FitOf(facts, {.available_bytes = UINT64_MAX, .context_tokens = UINT64_MAX});
  EXPECT_GT(fit.sequence_bytes, 0u);
  EXPECT_GE(fit.slots, 1u);
}

TEST(ModelText, ShowsWhatIsKnownAndSteersNoTerminal) {
  const std::string text = ModelText("a.gguf", Glm(), {.available_bytes = 1u << 30});
  EXPECT_THAT(text, HasSubstr("glm ?[31m4"));
  EXPECT_THAT(text, HasSubstr("9.4 B"));
  EXPECT_THAT(text, HasSubstr("32 of 128 numbers, 2 for keys and values"));
  EXPECT_THAT(text, HasSubstr("{% first %} …"));
  EXPECT_THAT(text, Not(HasSubstr("second")));
  EXPECT_THAT(text, Not(HasSubstr("experts")));
}

TEST(ModelJson, IsJsonWithEveryKey) {
  const std::string text = ModelJson("a.gguf", Glm(), {.available_bytes = 5000}, true);
  auto json = wire::ParseJson(text);
  ASSERT_TRUE(json) << json.error().message();
  EXPECT_EQ(json->Find("parameters")->AsInteger(), 9'400'000'000);
  EXPECT_EQ(json->Find("chat_template")->AsString(), "{% first %}\nsecond");
  EXPECT_EQ(json->Find("types")->Elements().size(), 1u);
  EXPECT_EQ(json->Find("fit")->Find("context_tokens")->AsInteger(), 8192);
  EXPECT_TRUE(json->Find("rope")->Find("base")->is_null());
}

TEST(ModelLine, IsOneLine) {
  EXPECT_EQ(ModelLine(Glm()), "glm4, 9.4 B parameters, Q4_K - Medium, 131,072 tokens of context");
}

TEST(ModelBench, ShowsGapsAsGaps) {
  ModelBenchResult result{.model = "m", .threads = 2, .context_tokens = 300, .prompt_tokens = 256};
  result.levels.push_back({.concurrency = 1,
                           .prompt_tokens_per_s = 100.0,
                           .generated_tokens_per_s = 20.0,
                           .first_token_ms = 12.0});
  result.levels.push_back({.concurrency = 4, .generated_tokens_per_s = 40.0});
  const std::string text = ModelBenchText(result);
  EXPECT_THAT(text, HasSubstr("alone: 12 ms"));
  EXPECT_THAT(text, HasSubstr("4        -                40.0                10.0"));
  EXPECT_THAT(text, HasSubstr("give more --seconds"));
  const std::string line = ModelBenchJson({}, result);
  auto json = wire::ParseJson(line);
  ASSERT_TRUE(json) << json.error().message();
  EXPECT_EQ(json->Find("first_token_ms")->AsDouble(), 12.0);
  EXPECT_TRUE(json->Find("levels")->Elements()[1].Find("prompt_tokens_per_s")->is_null());
}

}  // namespace
}  // namespace inferq::app
