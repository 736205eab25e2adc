#include "gguf/model_writer.h"

#include <chat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file_system.h"
#include "gguf/llama_backends.h"
#include "gguf/tiny_model.h"
#include "gguf/vocabulary.h"

namespace inferq::gguf {
namespace {

using ::testing::HasSubstr;

using Tokens = std::vector<llama_token>;
using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using Context = std::unique_ptr<llama_context, decltype(&llama_free)>;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "inferq-gguf-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Model Load(const std::string& path) {
  InitLlama();
  return {llama_model_load_from_file(path.c_str(), llama_model_default_params()),
          &llama_model_free};
}

Tokens Tokenize(const llama_model& model, std::string_view text, bool parse_special = false) {
  Tokens tokens(text.size() + 8);
  int n = llama_tokenize(llama_model_get_vocab(&model), text.data(), static_cast<int>(text.size()),
                         tokens.data(), static_cast<int>(tokens.size()), true, parse_special);
  tokens.resize(static_cast<size_t>(std::max(n, 0)));
  return tokens;
}

std::string Detokenize(const llama_model& model, const Tokens& tokens) {
  std::string text;
  for (llama_token token : tokens) {
    char piece[64];
    int n =
        llama_token_to_piece(llama_model_get_vocab(&model), token, piece, sizeof piece, 0, true);
    text.append(piece, static_cast<size_t>(std::max(n, 0)));
  }
  return text;
}

/// Greedy continuation, and the smallest distance between the best and the second logit on the way.
struct Continuation {
  Tokens tokens;
  float smallest_gap = 1e9F;
};

llama_token Best(const float* logits, int n_vocab, float& smallest_gap) {
  int best = 0;
  float second = -1e9F;
  for (int i = 1; i < n_vocab; ++i) {
    if (logits[i] > logits[best]) {
      second = logits[best];
      best = i;
    } else {
      second = std::max(second, logits[i]);
    }
  }
  smallest_gap = std::min(smallest_gap, logits[best] - second);
  return best;
}

Continuation Greedy(llama_model& model, Tokens batch, int max_tokens) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_threads = params.n_threads_batch = 1;
  Context context(llama_init_from_model(&model, params), &llama_free);
  const llama_vocab* vocab = llama_model_get_vocab(&model);
  Continuation out;
  for (int i = 0; i < max_tokens; ++i) {
    EXPECT_EQ(llama_decode(context.get(),
                           llama_batch_get_one(batch.data(), static_cast<int>(batch.size()))),
              0);
    batch = {Best(llama_get_logits_ith(context.get(), -1), llama_vocab_n_tokens(vocab),
                  out.smallest_gap)};
    if (llama_vocab_is_eog(vocab, batch[0])) break;
    out.tokens.push_back(batch[0]);
  }
  return out;
}

std::string Utf8(char32_t c) {
  auto byte = [](char32_t bits) { return static_cast<char>(bits); };
  auto tail = [&](int shift, char32_t bits) { return byte(0x80 | ((bits >> shift) & 0x3F)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | (c >> 6)), tail(0, c)};
  if (c < 0x10000) return {byte(0xE0 | (c >> 12)), tail(6, c), tail(0, c)};
  return {byte(0xF0 | (c >> 18)), tail(12, c), tail(6, c), tail(0, c)};
}

class TinyModel : public ::testing::TestWithParam<const char*> {
 protected:
  TempDir dir_;
  std::string path_ = testing::MakeTinyModel(dir_.path(), GetParam(), 1);
  Model model_ = Load(path_);
};

TEST_P(TinyModel, IsSmallAndLoads) {
  EXPECT_LT(std::filesystem::file_size(path_), 2'000'000U);
  ASSERT_TRUE(model_);
  char arch[16];
  llama_model_meta_val_str(model_.get(), "general.architecture", arch, sizeof arch);
  EXPECT_STREQ(arch, GetParam());
  EXPECT_EQ(llama_model_n_ctx_train(model_.get()), 2048);
}

TEST_P(TinyModel, TokenizesEveryTextWithoutLoss) {
  ASSERT_TRUE(model_);
  std::string every_lead_byte;  // one character for each, and all of ASCII
  for (char32_t c = 0; c < 0x110000; c += c < 0x80      ? 1
                                          : c < 0x800   ? 0x40
                                          : c < 0x10000 ? 0x1000
                                                        : 0x40000)
    every_lead_byte += Utf8(c);
  for (const std::string& text :
       {std::string("Open the settings, then tap Wi-Fi."),
        std::string("打开微信，搜索“天气”，返回上一页。"),
        std::string("🎉👩‍👩‍👧 naïve café — 12345\t\n\n  x"),
        std::string("русский العربية 한국어"), every_lead_byte})
    EXPECT_EQ(Detokenize(*model_, Tokenize(*model_, text)), text);
}

TEST_P(TinyModel, MergesCommonWordsAndCharacters) {
  ASSERT_TRUE(model_);
  EXPECT_EQ(Tokenize(*model_, " the").size(), 1U);
  EXPECT_EQ(Tokenize(*model_, "打").size(), 1U);
}

TEST_P(TinyModel, KnowsItsSpecialTokens) {
  ASSERT_TRUE(model_);
  const llama_vocab* vocab = llama_model_get_vocab(model_.get());
  Vocabulary expected = MakeVocabulary(0);
  EXPECT_EQ(llama_vocab_n_tokens(vocab), static_cast<int>(expected.tokens.size()));
  EXPECT_EQ(llama_vocab_eos(vocab), expected.end_of_text);
  EXPECT_TRUE(llama_vocab_is_eog(vocab, expected.end_of_turn));
  EXPECT_EQ(Tokenize(*model_, "[gMASK]<sop><|user|>", true).size(), 3U);
  EXPECT_GT(Tokenize(*model_, "[gMASK]<sop><|user|>", false).size(), 10U);
}

common_chat_params ApplyTemplate(const llama_model& model, const std::string& role) {
  common_chat_msg message;
  message.role = role;
  message.content = "你好";
  common_chat_templates_inputs inputs;
  inputs.messages = {message};
  inputs.add_generation_prompt = true;
  inputs.use_jinja = true;
  return common_chat_templates_apply(common_chat_templates_init(&model, "").get(), inputs);
}

TEST_P(TinyModel, ChatTemplateHasTheFormOfGlm4) {
  ASSERT_TRUE(model_);
  EXPECT_EQ(ApplyTemplate(*model_, "user").prompt, "[gMASK]<sop><|user|>\n你好<|assistant|>\n");
  EXPECT_EQ(ApplyTemplate(*model_, "developer").prompt,
            "[gMASK]<sop><|system|>\n你好<|assistant|>\n");
  EXPECT_THROW(ApplyTemplate(*model_, "jester"), std::exception);
}

TEST_P(TinyModel, AnswersDependOnThePromptAndVary) {
  ASSERT_TRUE(model_);
  std::set<Tokens> answers;
  for (int i = 0; i < 8; ++i) {
    auto prompt = Tokenize(
        *model_, "[gMASK]<sop><|user|>\n" + std::string("打开天气 number ") + std::to_string(i),
        true);
    Continuation answer = Greedy(*model_, prompt, 40);
    std::set<llama_token> distinct(answer.tokens.begin(), answer.tokens.end());
    EXPECT_GE(distinct.size() * 2, answer.tokens.size()) << Detokenize(*model_, answer.tokens);
    EXPECT_GT(answer.smallest_gap, 0);
    answers.insert(answer.tokens);
  }
  EXPECT_EQ(answers.size(), 8U);
}

TEST_P(TinyModel, SomeAnswersEndAndSomeGoOn) {
  ASSERT_TRUE(model_);
  int ended = 0;
  for (int i = 0; i < 24; ++i) {
    auto prompt =
        Tokenize(*model_, "<|user|>\nplay song " + std::to_string(i) + "<|assistant|>\n", true);
    ended += Greedy(*model_, prompt, 40).tokens.size() < 40 ? 1 : 0;
  }
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 24);
}

INSTANTIATE_TEST_SUITE_P(Archs, TinyModel, ::testing::Values("llama", "glm4"),
                         [](const auto& info) { return std::string(info.param); });

TEST(WriteModel, SameSeedSameBytesOtherSeedOtherBytes) {
  TempDir dir;
  auto read = [](const std::string& path) {
    return base::ReadFile(base::PosixFileSystem(), path).value();
  };
  std::string first = read(testing::MakeTinyModel(dir.path(), "glm4", 7));
  std::filesystem::remove(dir.path() + "/tiny-glm4-7.gguf");
  EXPECT_TRUE(first == read(testing::MakeTinyModel(dir.path(), "glm4", 7)));
  EXPECT_FALSE(first == read(testing::MakeTinyModel(dir.path(), "glm4", 8)));
}

TEST(WriteModel, EveryWeightTypeLoads) {
  TempDir dir;
  for (WeightType type : {WeightType::kF32, WeightType::kF16, WeightType::kQ8_0}) {
    ModelSpec spec{.vocab = 1500, .type = type};
    std::string path = dir.path() + "/model.gguf";
    ASSERT_TRUE(WriteModel(spec, path));
    Model model = Load(path);
    ASSERT_TRUE(model);
    EXPECT_EQ(llama_vocab_n_tokens(llama_model_get_vocab(model.get())), 1500);
    EXPECT_EQ(Greedy(*model, Tokenize(*model, "hello"), 4).tokens.size(), 4U);
  }
}

TEST(WriteModel, RefusesWhatIsNoModelAndNamesTheField) {
  TempDir dir;
  auto param = [&](const ModelSpec& spec) {
    auto written = WriteModel(spec, dir.path() + "/no.gguf");
    return written ? "written" : written.error().param();
  };
  EXPECT_EQ(param({.layers = 0}), "layers");
  EXPECT_EQ(param({.embd = 7}), "embd");
  EXPECT_EQ(param({.heads = 0}), "heads");
  EXPECT_EQ(param({.heads = 7}), "heads");
  EXPECT_EQ(param({.kv_heads = 3}), "kv_heads");
  EXPECT_EQ(param({.ff = 0}), "ff");
  EXPECT_EQ(param({.context = 1}), "context");
  EXPECT_EQ(param({.vocab = 10}), "vocab");
  EXPECT_EQ(param({.ff = 100, .type = WeightType::kQ8_0}), "type");
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/no.gguf"));
}

TEST(WriteModel, SaysWhyItCannotWrite) {
  auto written = WriteModel({}, "/nowhere/model.gguf");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), base::Code::kNotFound);
  EXPECT_THAT(written.error().message(), HasSubstr("/nowhere/model.gguf"));
}

TEST(Preset, TheLargeOneHas100To200MillionParameters) {
  ModelSpec spec = Preset("150m").value();
  uint64_t head = spec.embd / spec.heads;
  uint64_t attention =
      uint64_t{2} * spec.embd * spec.embd + uint64_t{2} * spec.embd * head * spec.kv_heads;
  uint64_t parameters = uint64_t{2} * spec.vocab * spec.embd +
                        spec.layers * (attention + uint64_t{3} * spec.embd * spec.ff);
  EXPECT_GT(parameters, 100'000'000U);
  EXPECT_LT(parameters, 200'000'000U);
  EXPECT_GE(spec.context, 4096U);
  EXPECT_FALSE(Preset("huge"));
}

}  // namespace
}  // namespace inferq::gguf
