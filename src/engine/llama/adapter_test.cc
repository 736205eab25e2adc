// A LoRA adapter through the whole engine, held against bare libllama.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/file_system.h"
#include "engine/llama/llama_engine.h"
#include "engine/llama/step_loop.h"
#include "gguf/lora_writer.h"
#include "gguf/tiny_model.h"
#include "runtime/asio_runtime.h"

namespace inferq::engine::llama {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Tokens = std::vector<llama_token>;

constexpr uint32_t kContext = 128;
constexpr size_t kOutput = 24;
constexpr const char* kPrompt = "open the settings and 打开天气";

class AdapterTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { InitLlama(); }

  AdapterTest() {
    std::string pattern = ::testing::TempDir() + "inferq_adapter_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    model_ = testing::MakeTinyModel(directory_, GetParam(), 1);
    adapter_ = MakeAdapter("a.gguf", model_, 1);
  }
  ~AdapterTest() override { std::filesystem::remove_all(directory_); }

  std::string MakeAdapter(const std::string& name, const std::string& model, uint64_t seed) const {
    const std::string path = directory_ + "/" + name;
    auto written = gguf::WriteLora({.model = model, .seed = seed}, path);
    EXPECT_TRUE(written.has_value()) << written.error().message();
    return path;
  }

  // The greedy tokens of our step loop.
  Tokens Ours(const std::string& adapter, float scale) const {
    ModelOptions options{.path = model_,
                         .adapter_path = adapter,
                         .adapter_scale = scale,
                         .slots = 1,
                         .context_tokens = kContext,
                         .threads = 1};
    auto model = Model::Load(options);
    EXPECT_TRUE(model.has_value()) << model.error().message();
    if (!model) return {};
    Tokens tokens;
    StepHooks hooks;
    hooks.on_logits = [&](const Sequence&, std::span<const float>, llama_token chosen) {
      tokens.push_back(chosen);
      return chosen;
    };
    StepLoop loop(**model, std::move(hooks));
    GenerateRequest request;
    request.endpoint = Endpoint::kCompletions;
    request.prompt = kPrompt;
    request.sampling.temperature = 0;
    request.max_tokens = kOutput;
    request.ignore_eos = true;
    loop.Submit(1, std::move(request));
    while (loop.HasWork()) EXPECT_TRUE(loop.Step().has_value());
    return tokens;
  }

  // The same with nothing but libllama.
  Tokens Bare(const std::string& adapter_path, float scale) const {
    llama_model* model = llama_model_load_from_file(model_.c_str(), llama_model_default_params());
    llama_adapter_lora* adapter = llama_adapter_lora_init(model, adapter_path.c_str());
    llama_context_params params = llama_context_default_params();
    params.n_ctx = kContext;
    params.n_threads = params.n_threads_batch = 1;
    llama_context* context = llama_init_from_model(model, params);
    EXPECT_EQ(llama_set_adapters_lora(context, &adapter, 1, &scale), 0);
    const llama_vocab* vocab = llama_model_get_vocab(model);
    const std::string_view prompt = kPrompt;
    Tokens batch(64);
    batch.resize(static_cast<size_t>(llama_tokenize(
        vocab, prompt.data(), static_cast<int32_t>(prompt.size()), batch.data(), 64, true, true)));
    Tokens out;
    while (out.size() < kOutput) {
      const auto size = static_cast<int32_t>(batch.size());
      EXPECT_EQ(llama_decode(context, llama_batch_get_one(batch.data(), size)), 0);
      std::span logits(llama_get_logits_ith(context, -1),
                       static_cast<size_t>(llama_vocab_n_tokens(vocab)));
      out.push_back(static_cast<llama_token>(std::ranges::max_element(logits) - logits.begin()));
      batch = {out.back()};
    }
    llama_free(context);
    llama_model_free(model);
    return out;
  }

  // What the engine's Start says.
  std::string ProblemWith(const std::string& adapter) const {
    runtime::AsioRuntime runtime;
    LlamaOptions options;
    options.model_path = model_;
    options.adapter_path = adapter;
    options.slots = 1;
    options.context_tokens = kContext;
    options.threads = 1;
    LlamaEngine engine(runtime, options);
    std::string problem = "none";
    base::SteadyTime begin = runtime.clock().Steady();
    runtime.SpawnDetached(StartAndStop(runtime, engine, problem));
    runtime.Run();
    EXPECT_LT(runtime.clock().Steady() - begin, std::chrono::seconds(20));
    return problem;
  }
  static Awaitable<void> StartAndStop(runtime::AsioRuntime& runtime, LlamaEngine& engine,
                                      std::string& problem) {
    auto started = co_await engine.Start();
    if (!started) problem = started.error().message();
    co_await engine.Stop();
    runtime.Stop();
  }

  std::string directory_;
  std::string model_;
  std::string adapter_;
};

INSTANTIATE_TEST_SUITE_P(Models, AdapterTest, ::testing::Values("llama", "glm4"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(AdapterTest, AnswersAreThoseOfBareLibllama) {
  const Tokens plain = Ours("", 1);
  ASSERT_EQ(plain.size(), kOutput);
  const Tokens adapted = Ours(adapter_, 1);
  EXPECT_EQ(adapted, Bare(adapter_, 1));
  EXPECT_NE(adapted, plain);
  EXPECT_EQ(Ours(adapter_, 0), plain);
  EXPECT_EQ(Ours(adapter_, 0.5F), Bare(adapter_, 0.5F));
  EXPECT_NE(Ours(MakeAdapter("b.gguf", model_, 2), 1), adapted);
}

TEST_P(AdapterTest, GoodOnesStartAndOthersAreNamed) {
  EXPECT_EQ(ProblemWith(adapter_), "none");
  EXPECT_THAT(ProblemWith(directory_ + "/none.gguf"), HasSubstr("none.gguf does not exist"));
  EXPECT_THAT(ProblemWith(model_), HasSubstr("is a model, not an adapter"));
  const std::string other = std::string_view(GetParam()) == "llama" ? "glm4" : "llama";
  const std::string foreign =
      MakeAdapter("foreign.gguf", testing::MakeTinyModel(directory_, other, 1), 1);
  EXPECT_THAT(ProblemWith(foreign), AllOf(HasSubstr("foreign.gguf was made for " + other)));
  auto bytes = base::ReadFile(base::PosixFileSystem(), adapter_);
  ASSERT_TRUE(bytes);
  const std::string cut = directory_ + "/cut.gguf";
  ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), cut,
                                        bytes->substr(0, bytes->size() - 1000)));
  EXPECT_THAT(ProblemWith(cut), AllOf(HasSubstr("cut.gguf"), HasSubstr("bytes short")));
}

// The header is right, so only llama.cpp can tell.
TEST_P(AdapterTest, AnAdapterOfAnotherSizeIsALoadError) {
  auto bytes = base::ReadFile(base::PosixFileSystem(), adapter_);
  ASSERT_TRUE(bytes);
  const size_t at = bytes->find("blk.0.attn_q");
  ASSERT_NE(at, std::string::npos);
  bytes->replace(at, 12, "blk.9.attn_q");
  const std::string odd = directory_ + "/odd.gguf";
  ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), odd, *bytes));
  EXPECT_THAT(ProblemWith(odd), AllOf(HasSubstr("adapter"), HasSubstr("odd.gguf")));
}

}  // namespace
}  // namespace inferq::engine::llama
