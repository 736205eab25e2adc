#include "engine/llama/embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "engine/llama/step_loop.h"
#include "gguf/tiny_model.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::SizeIs;

constexpr float kTolerance = 1e-3F;  // other company changes the last bits

EmbedInput Text(uint64_t id, std::string text, uint32_t index = 0) {
  EmbedInput input;
  input.id = id;
  input.index = index;
  input.text = std::move(text);
  return input;
}

class EmbedderTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { InitLlama(); }

  EmbedderTest() {
    std::string pattern = ::testing::TempDir() + "inferq_embed_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = testing::MakeTinyModel(directory_, GetParam(), 1);
    model_ = Load({});
  }
  ~EmbedderTest() override {
    model_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<Model> Load(ModelOptions options) {
    options.path = path_;
    options.slots = 2;
    options.context_tokens = 512;
    options.threads = 1;
    auto model = Model::Load(std::move(options));
    EXPECT_TRUE(model.has_value()) << model.error().message();
    return *std::move(model);
  }

  // libllama alone: the vectors of all tokens, pooled and normalised here.
  std::vector<float> Bare(const std::vector<llama_token>& tokens, Pooling pooling) const {
    llama_model* weights = llama_model_load_from_file(path_.c_str(), llama_model_default_params());
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 512;
    params.embeddings = true;
    params.pooling_type = LLAMA_POOLING_TYPE_NONE;
    params.n_threads = params.n_threads_batch = 1;
    llama_context* context = llama_init_from_model(weights, params);
    std::vector<llama_token> copy = tokens;
    EXPECT_EQ(
        llama_decode(context, llama_batch_get_one(copy.data(), static_cast<int>(copy.size()))), 0);
    const auto width = static_cast<size_t>(llama_model_n_embd(weights));
    std::vector<double> sum(width);
    for (size_t t = 0; t < tokens.size(); ++t) {
      if (pooling == Pooling::kLast && t + 1 != tokens.size()) continue;
      if (pooling == Pooling::kCls && t != 0) continue;
      const float* row = llama_get_embeddings_ith(context, static_cast<int32_t>(t));
      for (size_t i = 0; i < width; ++i) sum[i] += row[i];
    }
    double squares = 0;
    for (double value : sum) squares += value * value;
    std::vector<float> vector;
    for (double value : sum) vector.push_back(static_cast<float>(value / std::sqrt(squares)));
    llama_free(context);
    llama_model_free(weights);
    return vector;
  }

  std::vector<float> Bare(const std::string& text, Pooling pooling = Pooling::kMean) const {
    return Bare(*model_->PrepareInput(Text(0, text), 512), pooling);
  }

  // All results by (id, index). Every step says something of at most one run.
  static std::map<std::pair<uint64_t, uint32_t>, Embedding> Drain(Embedder& embedder,
                                                                  size_t* steps = nullptr) {
    std::map<std::pair<uint64_t, uint32_t>, Embedding> results;
    while (embedder.HasWork()) {
      auto step = embedder.Step();
      EXPECT_TRUE(step.has_value()) << step.error().message();
      if (!step) break;
      if (steps) ++*steps;
      for (Embedding& result : step->results) {
        auto key = std::pair(result.id, result.index);
        EXPECT_FALSE(results.contains(key));
        results[key] = std::move(result);
      }
    }
    return results;
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<Model> model_;
};

TEST_P(EmbedderTest, VectorsAreThoseOfBareLibllamaAloneAndInCompany) {
  const std::vector<std::string> texts{"Hello", "the queue keeps every task until it is done",
                                       "你好，世界", "a much longer one " + std::string(60, 'x')};
  for (Pooling pooling : {Pooling::kModel, Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    std::vector<std::vector<float>> bare;
    for (const auto& text : texts)
      bare.push_back(Bare(text, pooling == Pooling::kModel ? Pooling::kMean : pooling));
    Embedder embedder(*model_, {.pooling = pooling, .normalize = true});
    for (uint64_t i = 0; i < texts.size(); ++i) {  // alone
      embedder.Submit({.batch = i, .inputs = {Text(i, texts[i])}});
      auto results = Drain(embedder);
      EXPECT_THAT((results[{i, 0}].vector), Pointwise(FloatNear(kTolerance), bare[i]));
    }
    Embed together{.batch = 9, .inputs = {}};
    for (uint32_t i = 0; i < texts.size(); ++i) together.inputs.push_back(Text(50, texts[i], i));
    for (uint32_t i = 0; i < 20; ++i)
      together.inputs.push_back(Text(60 + i, fmt::format("company {}", i)));
    embedder.Submit(together);
    size_t steps = 0;
    auto results = Drain(embedder, &steps);
    EXPECT_EQ(steps, 1u);
    for (uint32_t i = 0; i < texts.size(); ++i) {
      EXPECT_THAT((results[{50, i}].vector), Pointwise(FloatNear(kTolerance), bare[i]));
      EXPECT_EQ((results[{50, i}].tokens), model_->PrepareInput(Text(0, texts[i]), 512)->size());
    }
  }
}

TEST_P(EmbedderTest, TokenIdsAreTheirText) {
  Embedder embedder(*model_, {});
  EmbedInput ids = Text(1, "");
  ids.tokens = *model_->PrepareInput(Text(0, "every task"), 512);
  embedder.Submit({.batch = 1, .inputs = {ids, Text(2, "every task")}});
  auto results = Drain(embedder);
  EXPECT_THAT((results[{1, 0}].vector), Pointwise(FloatNear(kTolerance), results[{2, 0}].vector));
}

TEST_P(EmbedderTest, GenerationBesideItChangesNothing) {
  const std::vector<float> alone = Bare("the queue");
  StepLoop loop(*model_);
  GenerateRequest request;
  request.endpoint = Endpoint::kCompletions;
  request.prompt = "task";
  request.max_tokens = 20;
  request.ignore_eos = true;
  loop.Submit(1, request, model_->Prepare(request));
  Embedder embedder(*model_, {});
  for (uint64_t i = 0; loop.HasWork(); ++i) {
    ASSERT_TRUE(loop.Step().has_value());
    embedder.Submit({.batch = i, .inputs = {Text(i, "the queue")}});
    auto results = Drain(embedder);
    EXPECT_THAT((results[{i, 0}].vector), Pointwise(FloatNear(kTolerance), alone));
  }
}

TEST_P(EmbedderTest, LongMicroBatchesAreRunInPieces) {
  Embedder embedder(*model_, {});
  Embed batch{.batch = 1, .inputs = {}};
  std::string text;
  for (int i = 0; i < 100; ++i) text += "task ";
  for (uint32_t i = 0; i < 8; ++i) batch.inputs.push_back(Text(1, text, i));
  embedder.Submit(batch);
  size_t steps = 0;
  auto results = Drain(embedder, &steps);
  EXPECT_THAT(results, SizeIs(8));
  EXPECT_GT(steps, 1u);
  const std::vector<float> bare = Bare(text);
  for (auto& [place, result] : results)
    EXPECT_THAT(result.vector, Pointwise(FloatNear(kTolerance), bare));
}

TEST_P(EmbedderTest, WhatIsWrongFailsAlone) {
  Embedder embedder(*model_, {});
  EmbedInput wide = Text(4, "x");
  wide.dimensions = 1'000'000;
  EmbedInput foreign = Text(5, "", 7);
  foreign.tokens = {1, 1'000'000};
  embedder.Submit({.batch = 1,
                   .inputs = {Text(1, "good"), Text(2, std::string(2000, '?'), 3), wide, foreign,
                              Text(6, std::string(1'000'000, '?'))}});
  auto results = Drain(embedder);
  EXPECT_THAT((results[{1, 0}].vector), SizeIs(64));
  ASSERT_TRUE((results[{2, 3}].error.has_value()));
  EXPECT_EQ((results[{2, 3}].error->param), "body.input[3]");
  EXPECT_THAT((results[{2, 3}].error->message), HasSubstr("more than the 512"));
  EXPECT_EQ((results[{4, 0}].error->param), "body.dimensions");
  EXPECT_EQ((results[{5, 7}].error->param), "body.input[7]");
  EXPECT_THAT((results[{6, 0}].error->message), HasSubstr("has more than"));
  for (auto& [place, result] : results)
    if (result.error) EXPECT_EQ(result.error->code, Code::kInvalidArgument);
}

TEST_P(EmbedderTest, ALowBoundOfTokensHolds) {
  auto small = Load({.embed_tokens = 16});
  Embedder embedder(*small, {});
  Embed batch{.batch = 1, .inputs = {Text(1, "the queue"), Text(2, std::string(40, '?'))}};
  for (uint32_t i = 0; i < 300; ++i) batch.inputs.push_back(Text(3, "the queue", i));
  embedder.Submit(batch);
  auto results = Drain(embedder);
  EXPECT_THAT(results, SizeIs(302));
  EXPECT_THAT((results[{1, 0}].vector), Pointwise(FloatNear(kTolerance), Bare("the queue")));
  EXPECT_THAT((results[{3, 299}].vector), Pointwise(FloatNear(kTolerance), Bare("the queue")));
  EXPECT_THAT((results[{2, 0}].error->message), HasSubstr("more than the 16"));
}

TEST_P(EmbedderTest, DimensionsCutAndNormaliseAnew) {
  Embedder embedder(*model_, {});
  EmbedInput cut = Text(1, "the queue");
  cut.dimensions = 5;
  embedder.Submit({.batch = 1, .inputs = {cut}});
  auto results = Drain(embedder);
  std::vector<float> whole = Bare("the queue");
  whole.resize(5);
  double squares = 0;
  for (float value : whole) squares += value * value;
  for (float& value : whole) value = static_cast<float>(value / std::sqrt(squares));
  EXPECT_THAT((results[{1, 0}].vector), Pointwise(FloatNear(kTolerance), whole));
}

TEST_P(EmbedderTest, WithoutNormalisationLengthsDiffer) {
  Embedder embedder(*model_, {.pooling = Pooling::kModel, .normalize = false});
  embedder.Submit({.batch = 1, .inputs = {Text(1, "the queue")}});
  auto results = Drain(embedder);
  double squares = 0;
  for (float value : results[{1, 0}].vector) squares += value * value;
  EXPECT_GT(std::abs(squares - 1), 0.1);
}

TEST_P(EmbedderTest, StartIsSaidBeforeAnythingIsTouched) {
  std::vector<std::vector<uint64_t>> said;
  Embedder embedder(*model_, {}, [&](std::vector<uint64_t> ids) { said.push_back(ids); });
  embedder.Submit({.batch = 1, .inputs = {Text(7, "a"), Text(8, "b"), Text(7, "c", 1)}});
  EXPECT_THAT(said, SizeIs(0));
  (void)Drain(embedder);
  EXPECT_THAT(said, ElementsAre(ElementsAre(7, 8)));
}

TEST_P(EmbedderTest, CancelledInputsAreNotRun) {
  Embedder embedder(*model_, {});
  embedder.Submit({.batch = 3, .inputs = {Text(1, "a"), Text(2, "b")}});
  embedder.Submit({.batch = 4, .inputs = {Text(1, "c", 1)}});
  embedder.Cancel(1);
  auto first = embedder.Step();
  ASSERT_TRUE(first.has_value());
  EXPECT_THAT(first->results, SizeIs(1));
  EXPECT_TRUE(first->last);
  auto second = embedder.Step();  // nothing is left of it, and that is said
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(*second, (Embedded{.batch = 4, .results = {}, .last = true}));
  EXPECT_FALSE(embedder.HasWork());
}

// The positions of a BERT are a table, its attention sees both ways, and the file says how to pool.
class EncoderTest : public EmbedderTest {};

TEST_P(EncoderTest, OnlyEmbeds) {
  EXPECT_FALSE(model_->generates());
  const std::vector<std::string> texts{"the queue", "keeps every task", "你好"};
  Embedder embedder(*model_, {});
  Embed together{.batch = 1, .inputs = {}};
  for (uint32_t i = 0; i < texts.size(); ++i) together.inputs.push_back(Text(1, texts[i], i));
  embedder.Submit(together);
  auto results = Drain(embedder);
  for (uint32_t i = 0; i < texts.size(); ++i) {
    EXPECT_THAT((results[{1, i}].vector),
                Pointwise(FloatNear(kTolerance), Bare(texts[i], Pooling::kCls)));
  }
}

TEST_P(EncoderTest, NothingIsReadBehindItsPositions) {
  auto wide = Load({.embed_tokens = 100'000});
  EXPECT_EQ(wide->facts().embed_tokens, 2048u);
}

INSTANTIATE_TEST_SUITE_P(Architectures, EncoderTest, ::testing::Values("bert"));

INSTANTIATE_TEST_SUITE_P(Architectures, EmbedderTest, ::testing::Values("llama", "glm4"));

}  // namespace
}  // namespace inferq::engine::llama
