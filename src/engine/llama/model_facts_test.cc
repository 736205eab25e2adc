#include "engine/llama/model_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/llama/gguf_bytes.h"

namespace inferq::engine::llama {
namespace {

using testing::BytesFile;
using testing::GgufBytes;
using testing::SmallModel;

ModelFacts Facts(const std::string& bytes) {
  BytesFile file(bytes);
  auto header = ReadGgufHeader(file, "m.gguf");
  EXPECT_TRUE(header) << header.error().message();
  GgufFile whole;
  whole.parts.push_back(
      {.path = "m.gguf", .file_bytes = bytes.size(), .header = *std::move(header)});
  return FactsOf(whole);
}

TEST(ModelFacts, OfASmallModel) {
  const ModelFacts facts = Facts(SmallModel().Build(192));
  EXPECT_EQ(facts.architecture, "glm4");
  EXPECT_EQ(facts.name, "small");
  EXPECT_EQ(facts.kind, "model");
  EXPECT_EQ(facts.file_type, "F16");
  EXPECT_EQ(facts.parameters, 80u);
  EXPECT_EQ(facts.tensor_bytes, 192u);
  ASSERT_EQ(facts.types.size(), 2u);
  EXPECT_EQ(facts.types[0].type, "f16");
  EXPECT_EQ(facts.types[0].bytes, 128u);
  EXPECT_EQ(facts.types[1].type, "f32");
  EXPECT_EQ(facts.vocabulary, 3u);
  EXPECT_EQ(facts.tokenizer, "gpt2");
  EXPECT_TRUE(facts.chat_template.has_value());
  EXPECT_EQ(facts.trained_context, 2048u);
  EXPECT_EQ(facts.key_length, 16u);
  EXPECT_EQ(facts.kv_bytes_per_token, 2u * 2 * (16 + 16) * 2);  // layers * kv heads * (k + v) * f16
}

TEST(ModelFacts, KeysAndValuesMayDifferInLengthAndLayersInHeads) {
  GgufBytes file;
  file.Set("general.architecture", "x").Set("x.block_count", uint32_t{3});
  file.Set("x.embedding_length", uint32_t{64}).Set("x.attention.head_count", uint32_t{8});
  file.Set("x.attention.key_length", uint32_t{128}).Set("x.attention.value_length", uint32_t{64});
  file.Set("x.attention.head_count_kv", std::vector<int32_t>{0, 4, 2});
  file.Set("x.pooling_type", uint32_t{2});
  const ModelFacts facts = Facts(file.Build());
  EXPECT_EQ(facts.kv_heads, 4u);
  EXPECT_EQ(facts.kv_bytes_per_token, 6u * (128 + 64) * 2);
  EXPECT_EQ(facts.pooling, "cls");
}

TEST(ModelFacts, NonsenseGivesNoEstimateAndTakesNoMemory) {
  GgufBytes file;
  file.Set("general.architecture", "x").Set("x.block_count", UINT32_MAX);
  file.Set("x.embedding_length", UINT32_MAX).Set("x.attention.head_count", uint32_t{1});
  EXPECT_EQ(Facts(file.Build()).kv_bytes_per_token, 0u);
  GgufBytes deep;
  deep.Set("general.architecture", "x").Set("x.block_count", uint32_t{1} << 22);
  deep.Set("x.embedding_length", uint32_t{64}).Set("x.attention.head_count", uint32_t{1});
  EXPECT_EQ(Facts(deep.Build()).kv_bytes_per_token, 0u);
  EXPECT_EQ(Facts(GgufBytes().Build()).layers, 0u);
}

}  // namespace
}  // namespace inferq::engine::llama
