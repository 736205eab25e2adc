#include "engine/llama/step_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/llama/machine.h"
#include "gguf/tiny_model.h"
#include "wire/json.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kSlots = 4;
constexpr uint32_t kContext = 512;

// The end of one request, everything that came before it joined.
struct Ended {
  std::string text;
  uint64_t tokens = 0;
  std::optional<FinishReason> finish_reason;
  Usage usage;
  std::optional<RequestError> error;
};

GenerateRequest Chat(std::string text, uint64_t max_tokens = 16) {
  GenerateRequest request;
  request.messages = {{.role = "user", .content = std::move(text)}};
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

GenerateRequest Plain(std::string prompt, uint64_t max_tokens = 16) {
  GenerateRequest request = Chat("", max_tokens);
  request.endpoint = Endpoint::kCompletions;
  request.messages.clear();
  request.prompt = std::move(prompt);
  return request;
}

class StepLoopTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { InitLlama(); }

  StepLoopTest() {
    std::string pattern = ::testing::TempDir() + "inferq_step_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = testing::MakeTinyModel(directory_, GetParam(), 1);
    model_ = Load({.slots = kSlots, .context_tokens = kContext, .threads = 1});
  }
  ~StepLoopTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Model> Load(ModelOptions options) {
    options.path = path_;
    auto model = Model::Load(std::move(options));
    EXPECT_TRUE(model.has_value()) << model.error().message();
    return *std::move(model);
  }

  // Steps until nothing is left to do; `between` runs after each step.
  static std::map<uint64_t, Ended> Drain(
      StepLoop& loop, const std::function<void()>& between = [] {}) {
    std::map<uint64_t, Ended> answers;
    while (loop.HasWork()) {
      auto deltas = loop.Step();
      EXPECT_TRUE(deltas.has_value()) << deltas.error().message();
      if (!deltas) break;
      for (SequenceDelta& delta : *deltas) {
        Ended& answer = answers[delta.id];
        EXPECT_FALSE(answer.finish_reason || answer.error)
            << "a delta after the end of " << delta.id;
        EXPECT_TRUE(wire::IsUtf8(delta.text));
        answer.text += delta.text;
        answer.tokens += delta.tokens;
        answer.finish_reason = delta.finish_reason;
        answer.usage = delta.usage;
        answer.error = delta.error;
      }
      between();
    }
    return answers;
  }

  Ended RunOne(GenerateRequest request) {
    StepLoop loop(*model_);
    loop.Submit(1, std::move(request));
    return Drain(loop)[1];
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<Model> model_;
};

INSTANTIATE_TEST_SUITE_P(Models, StepLoopTest, ::testing::Values("llama", "glm4"),
                         [](const auto& info) { return std::string(info.param); });

// --- Against llama.cpp itself ---

// Greedy generation with nothing but libllama: all prompts in one batch, then one token of each
// sequence per batch.
std::vector<std::vector<llama_token>> PlainLoop(
    Model& model, const std::vector<std::vector<llama_token>>& prompts, size_t tokens) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = kSlots * kContext;
  params.n_batch = params.n_ubatch = model.facts().batch_tokens;
  params.n_seq_max = kSlots;
  params.n_outputs_max = kSlots;
  params.n_threads = params.n_threads_batch = 1;
  params.kv_unified = model.cache_limits().shares;
  llama_context* context =
      llama_init_from_model(const_cast<llama_model*>(llama_get_model(model.context())), params);
  llama_batch batch = llama_batch_init(static_cast<int32_t>(model.facts().batch_tokens), 0, 1);
  std::vector<std::vector<llama_token>> out(prompts.size());
  std::vector<int32_t> rows(prompts.size());
  for (size_t n = 0; n < tokens; ++n) {
    batch.n_tokens = 0;
    for (size_t s = 0; s < prompts.size(); ++s) {
      const size_t begin = n == 0 ? 0 : prompts[s].size() + n - 1;
      const size_t end = prompts[s].size() + n;
      for (size_t position = begin; position < end; ++position) {
        const int32_t row = batch.n_tokens++;
        batch.token[row] = n == 0 ? prompts[s][position] : out[s].back();
        batch.pos[row] = static_cast<llama_pos>(position);
        batch.n_seq_id[row] = 1;
        batch.seq_id[row][0] = static_cast<llama_seq_id>(s);
        batch.logits[row] = position + 1 == end ? 1 : 0;
        rows[s] = row;
      }
    }
    EXPECT_EQ(llama_decode(context, batch), 0);
    for (size_t s = 0; s < prompts.size(); ++s) {
      const float* logits = llama_get_logits_ith(context, rows[s]);
      const auto greatest = std::max_element(logits, logits + model.facts().vocabulary);
      out[s].push_back(static_cast<llama_token>(greatest - logits));
    }
  }
  llama_batch_free(batch);
  llama_free(context);
  return out;
}

TEST_P(StepLoopTest, GreedyTokensAreThoseOfAPlainLoop) {
  constexpr size_t kTokens = 40;
  const auto cache = GetParam() == std::string("llama") ? CacheKind::kShared : CacheKind::kSeparate;
  model_ = Load({.slots = kSlots, .context_tokens = kContext, .threads = 1, .cache = cache});
  // They begin differently: what is shared is in another step.
  const std::vector<GenerateRequest> requests{Plain("Hello", kTokens), Chat("你好，世界", kTokens),
                                              Plain("Once upon a time", kTokens)};
  std::vector<std::vector<llama_token>> prompts;
  std::vector<std::vector<llama_token>> generated(requests.size());
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence& sequence, std::span<const float>, llama_token chosen) {
    generated[sequence.id].push_back(chosen);
    return chosen;
  };
  StepLoop loop(*model_, std::move(hooks));
  for (size_t i = 0; i < requests.size(); ++i) {
    prompts.push_back(model_->Prepare(requests[i])->tokens);
    loop.Submit(i, requests[i]);
  }
  const auto answers = Drain(loop);
  EXPECT_EQ(generated, PlainLoop(*model_, prompts, kTokens));
  EXPECT_NE(generated[0], generated[1]) << "the prompt matters";
  EXPECT_EQ(answers.at(0).usage.prompt_tokens, prompts[0].size());
  EXPECT_EQ(answers.at(0).usage.completion_tokens, kTokens);
}

// Company changes the order of sums and so their last bits; it must not change more than that. The
// tolerance is a part of the logits' root mean square (4.3 in these models). Measured with AVX-512:
// 0.8 % with f16 weights, cache and flash attention; without the latter 0.2 %; with f32 throughout
// 0.0003 %.
constexpr double kLogitTolerance = 0.02;

double RootMeanSquare(const std::vector<std::vector<float>>& rows) {
  double sum = 0;
  size_t count = 0;
  for (const auto& row : rows) {
    for (float value : row) sum += double{value} * value;
    count += row.size();
  }
  return std::sqrt(sum / static_cast<double>(count));
}

using Logits = std::vector<std::vector<float>>;

// The logits of `request` among others, with its tokens forced to be those of `path` (recorded when
// empty).
Logits LogitsOf(Model& model, const GenerateRequest& request, std::vector<llama_token>& path,
                const std::vector<GenerateRequest>& before,
                const std::vector<GenerateRequest>& after) {
  const uint64_t observed = before.size();
  const bool record = path.empty();
  Logits out;
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence& sequence, std::span<const float> logits,
                        llama_token chosen) {
    if (sequence.id != observed) return chosen;
    out.emplace_back(logits.begin(), logits.end());
    if (record) path.push_back(chosen);
    return path[out.size() - 1];
  };
  StepLoop loop(model, std::move(hooks));
  uint64_t id = 0;
  for (const GenerateRequest& other : before) loop.Submit(id++, other);
  loop.Submit(id++, request);
  for (const GenerateRequest& other : after) loop.Submit(id++, other);
  while (loop.HasWork()) EXPECT_TRUE(loop.Step().has_value());
  return out;
}

// The greatest difference between a request's logits alone and among others, as a part of their
// size.
double WorstDifference(Model& model, const GenerateRequest& request,
                       const std::vector<GenerateRequest>& before,
                       const std::vector<GenerateRequest>& after) {
  std::vector<llama_token> path;
  const Logits alone = LogitsOf(model, request, path, {}, {});
  const Logits together = LogitsOf(model, request, path, before, after);
  EXPECT_EQ(together.size(), alone.size());
  double worst = 0;
  for (size_t i = 0; i < alone.size(); ++i) {
    for (size_t token = 0; token < alone[i].size(); ++token) {
      worst = std::max(worst, double{std::abs(alone[i][token] - together[i][token])});
    }
  }
  return worst / RootMeanSquare(alone);
}

TEST_P(StepLoopTest, LogitsAloneAndInCompanyAgree) {
  std::vector<GenerateRequest> before;
  std::vector<GenerateRequest> after;
  for (uint64_t n = 1; n < 5; ++n)
    before.push_back(Chat("Company " + std::to_string(n), 5 + 9 * n));
  for (uint64_t n = 6; n < 12; ++n) after.push_back(Plain(std::string(n * 20, 'x'), 11));
  const GenerateRequest request = Chat("Tell me about the sea", 48);
  for (const CacheKind cache : {CacheKind::kShared, CacheKind::kSeparate}) {
    model_ = Load({.slots = kSlots, .context_tokens = kContext, .threads = 1, .cache = cache});
    ASSERT_EQ(model_->cache_limits().shares, cache == CacheKind::kShared);
    EXPECT_LE(WorstDifference(*model_, request, before, after), kLogitTolerance);
  }
}

// The others end first, so it moves from the last slot to the first.
TEST_P(StepLoopTest, ASequenceThatMovesKeepsItsCache) {
  model_ = Load(
      {.slots = kSlots, .context_tokens = kContext, .threads = 1, .cache = CacheKind::kSeparate});
  const std::vector<GenerateRequest> before{Chat("one", 6), Chat("two", 9), Chat("three", 12)};
  const GenerateRequest request = Chat("Tell me about the sea", 40);
  EXPECT_LE(WorstDifference(*model_, request, before, {}), kLogitTolerance);
}

// --- Prompts ---

std::string Detokenize(const Model& model, const std::vector<llama_token>& tokens) {
  std::string text(tokens.size() * 32, '\0');
  const int32_t size =
      llama_detokenize(model.vocab(), tokens.data(), static_cast<int32_t>(tokens.size()),
                       text.data(), static_cast<int32_t>(text.size()), false, true);
  text.resize(static_cast<size_t>(std::max(0, size)));
  return text;
}

TEST_P(StepLoopTest, AChatGoesThroughTheModelsTemplate) {
  GenerateRequest request = Chat("");
  request.messages = {{.role = "system", .content = "Be brief."},
                      {.role = "user", .content = "1+1?"},
                      {.role = "assistant", .content = "2"},
                      {.role = "user", .content = "再见"}};
  const auto prompt = model_->Prepare(request);
  ASSERT_TRUE(prompt.has_value()) << prompt.error().message();
  EXPECT_EQ(Detokenize(*model_, prompt->tokens),
            "[gMASK]<sop><|system|>\nBe "
            "brief.<|user|>\n1+1?<|assistant|>\n2<|user|>\n再见<|assistant|>\n");
  EXPECT_EQ(Detokenize(*model_, model_->Prepare(Plain("just this"))->tokens), "just this");
}

TEST_P(StepLoopTest, ATemplateThatRefusesIsTheRequestsFault) {
  GenerateRequest request = Chat("hi");
  request.messages[0].role = "narrator";
  const Ended answer = RunOne(request);
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->code, Code::kInvalidArgument);
  EXPECT_EQ(answer.error->param, "body.messages");
  EXPECT_THAT(answer.error->message, HasSubstr("chat template refuses"));
}

TEST_P(StepLoopTest, APromptLongerThanTheContextIsRefusedWithTheNumbers) {
  std::string words;
  for (int i = 0; i < 600; ++i) words += "\x01";  // one token each
  const Ended answer = RunOne(Plain(words));
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->code, Code::kInvalidArgument);
  EXPECT_EQ(answer.error->param, "body.prompt");
  EXPECT_THAT(answer.error->message, HasSubstr("600 tokens"));
  EXPECT_THAT(answer.error->message, HasSubstr("512"));
  const Ended huge = RunOne(Chat(std::string(1 << 20, 'x')));  // not worth tokenising
  EXPECT_EQ(huge.error->param, "body.messages");
  EXPECT_THAT(huge.error->message, HasSubstr("more than"));
}

TEST_P(StepLoopTest, AnEmptyPromptIsRefused) {
  const auto prompt = model_->Prepare(Plain(""));
  if (prompt) GTEST_SKIP() << "this model begins with a token of its own";
  EXPECT_EQ(prompt.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(prompt.error().param(), "body.prompt");
}

// --- Endings ---

TEST_P(StepLoopTest, MaxTokensEndsWithLength) {
  for (uint64_t max_tokens : {1u, 2u, 33u}) {
    const Ended answer = RunOne(Chat("Count", max_tokens));
    EXPECT_EQ(answer.finish_reason, FinishReason::kLength);
    EXPECT_EQ(answer.usage.completion_tokens, max_tokens);
    EXPECT_EQ(answer.tokens, max_tokens);
  }
}

TEST_P(StepLoopTest, AFullContextEndsWithLength) {
  GenerateRequest request = Chat("On and on");
  request.max_tokens.reset();
  const Ended answer = RunOne(request);
  EXPECT_EQ(answer.finish_reason, FinishReason::kLength);
  EXPECT_EQ(answer.usage.prompt_tokens + answer.usage.completion_tokens, kContext);
}

TEST_P(StepLoopTest, TheModelsEndTokenStops) {
  const llama_token end = llama_vocab_eos(model_->vocab());
  StepHooks hooks;
  hooks.on_logits = [end, n = 0](const Sequence&, std::span<const float>,
                                 llama_token chosen) mutable { return ++n == 4 ? end : chosen; };
  StepLoop loop(*model_, hooks);
  GenerateRequest request = Chat("Say three", 50);
  request.ignore_eos = false;
  request.sampling.seed = 1;
  loop.Submit(1, request);
  const Ended answer = Drain(loop)[1];
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_LE(answer.usage.completion_tokens, 4u);

  StepLoop going_on(*model_, hooks);
  request.ignore_eos = true;
  going_on.Submit(1, request);
  EXPECT_EQ(Drain(going_on)[1].usage.completion_tokens, 50u);
}

// A text whose stop string begins in one token and ends in the next.
TEST_P(StepLoopTest, AStopStringAcrossTokensCutsTheText) {
  std::vector<std::string> pieces;
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence&, std::span<const float>, llama_token chosen) {
    pieces.push_back(model_->Piece(chosen));
    return chosen;
  };
  // The pieces are put in place of what a random model would say.
  const std::vector<std::string> said{"The", " sum", " is", " 4", "2", "!", " Bye"};
  std::vector<llama_token> forced;
  for (const std::string& piece : said) {
    GenerateRequest one = Plain(piece);
    for (llama_token token : model_->Prepare(one)->tokens) {
      if (!model_->Piece(token).empty()) forced.push_back(token);
    }
  }
  hooks.on_logits = [&](const Sequence&, std::span<const float>, llama_token) {
    const llama_token token = forced[pieces.size() % forced.size()];
    pieces.push_back(model_->Piece(token));
    return token;
  };
  StepLoop loop(*model_, hooks);
  GenerateRequest request = Chat("What is the sum?", 200);
  request.stop = {"nothing", "s 42!"};
  loop.Submit(1, request);
  const Ended answer = Drain(loop)[1];
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.text, "The sum i");
  EXPECT_TRUE(
      std::ranges::none_of(pieces, [](const std::string& p) { return p.contains("s 42!"); }));
  EXPECT_EQ(answer.usage.completion_tokens, pieces.size())
      << "it ended with the token that completed it";
}

TEST_P(StepLoopTest, CharactersAreNeverCut) {
  const auto forced =
      model_->Prepare(Plain("龘😀龘é😀"))->tokens;  // rare ones are several tokens each
  size_t next = 0;
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence&, std::span<const float>, llama_token) {
    return forced[next++];
  };
  StepLoop loop(*model_, hooks);
  loop.Submit(1, Chat("Characters", forced.size()));
  EXPECT_EQ(Drain(loop)[1].text, "龘😀龘é😀");  // Drain checks each delta
  ASSERT_GT(forced.size(), 6u) << "nothing was cut, so nothing was tested";
  next = 0;
  loop.Submit(2, Chat("Characters", 1));
  EXPECT_EQ(Drain(loop)[2].text, "\uFFFD") << "an incomplete character at the end";
}

// --- Scheduling ---

TEST_P(StepLoopTest, MoreRequestsThanSlotsAllFinishInOrderOfStart) {
  std::vector<uint64_t> started;
  StepHooks hooks;
  hooks.on_start = [&](uint64_t id) { started.push_back(id); };
  StepLoop loop(*model_, std::move(hooks));
  for (uint64_t id = 1; id <= 11; ++id)
    loop.Submit(id, Plain(std::string(1, static_cast<char>('a' + id)) + " request", 3 + id % 5));
  size_t most = 0;
  const auto answers = Drain(loop, [&] { most = std::max(most, loop.running()); });
  EXPECT_EQ(answers.size(), 11u);
  for (const auto& [id, answer] : answers) EXPECT_EQ(answer.usage.completion_tokens, 3 + id % 5);
  EXPECT_THAT(started, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_LE(most, kSlots);
  EXPECT_FALSE(loop.HasWork());
}

TEST_P(StepLoopTest, LongPromptsArePrefilledInChunks) {
  model_ = Load({.slots = 2, .context_tokens = kContext, .threads = 1, .batch_tokens = 64});
  StepLoop loop(*model_);
  loop.Submit(1, Chat("short", 30));
  loop.Submit(2, Plain(std::string(300, '\x01'), 5));
  const auto answers = Drain(loop);
  EXPECT_EQ(answers.at(1).usage.completion_tokens, 30u);
  EXPECT_EQ(answers.at(2).usage.completion_tokens, 5u);
  EXPECT_GE(answers.at(2).usage.prompt_tokens, 300u);
}

TEST_P(StepLoopTest, CancelFreesTheSlotBetweenSteps) {
  model_ = Load({.slots = 1, .context_tokens = kContext, .threads = 1});
  StepLoop loop(*model_);
  loop.Submit(1, Chat("long", 400));
  loop.Submit(2, Chat("waits", 4));
  loop.Submit(3, Chat("cancelled in the queue", 4));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(loop.Step());
  loop.Cancel(1);
  loop.Cancel(3);
  loop.Cancel(99);
  EXPECT_EQ(loop.running(), 0u);
  EXPECT_EQ(llama_memory_seq_pos_max(llama_get_memory(model_->context()), 0), -1)
      << "its cache is free";
  const auto answers = Drain(loop);
  EXPECT_EQ(answers.at(1).finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(answers.at(1).usage.completion_tokens, 5u);
  EXPECT_EQ(answers.at(2).finish_reason, FinishReason::kLength);
  EXPECT_EQ(answers.at(3).finish_reason, FinishReason::kCancelled);
}

TEST_P(StepLoopTest, ASharedCacheIsNeverPromisedTwice) {
  model_ = Load({.slots = 4, .context_tokens = kContext, .kv_tokens = 600, .threads = 1});
  StepLoop loop(*model_);
  for (uint64_t id = 1; id <= 6; ++id) loop.Submit(id, Chat("Request", 250));
  size_t most = 0;
  const auto answers = Drain(loop, [&] { most = std::max(most, loop.running()); });
  EXPECT_EQ(most, 2u);  // a third would need more than 600 tokens
  for (const auto& [id, answer] : answers) {
    EXPECT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.usage.completion_tokens, 250u);
  }
}

TEST_P(StepLoopTest, ARequestThatCanNeverFitIsRefused) {
  model_ = Load({.slots = 4, .context_tokens = kContext, .kv_tokens = 300, .threads = 1});
  StepLoop loop(*model_);
  loop.Submit(1, Chat("too much", 400));
  loop.Submit(2, Chat("fits", 40));
  const auto answers = Drain(loop);
  ASSERT_TRUE(answers.at(1).error.has_value());
  EXPECT_EQ(answers.at(1).error->param, "body.max_tokens");
  EXPECT_EQ(answers.at(2).finish_reason, FinishReason::kLength);
}

// Somebody else holds most of the cells, so our accounts are wrong and llama_decode finds no room.
TEST_P(StepLoopTest, AFullCacheCostsOnlyTheLargestSequence) {
  constexpr llama_seq_id kIntruder = 200;
  constexpr uint32_t kShared = 1536;
  model_ = Load({.slots = kSlots, .context_tokens = kContext, .kv_tokens = kShared, .threads = 1});
  ASSERT_TRUE(model_->cache_limits().shares);
  std::vector<llama_token> tokens(kShared - 300, 1);
  const auto batch_tokens = static_cast<size_t>(model_->facts().batch_tokens);
  for (size_t begin = 0; begin < tokens.size(); begin += batch_tokens) {
    const size_t count = std::min(batch_tokens, tokens.size() - begin);
    std::vector<llama_pos> positions(count);
    for (size_t i = 0; i < count; ++i) positions[i] = static_cast<llama_pos>(begin + i);
    std::vector<int32_t> ones(count, 1);
    llama_seq_id intruder = kIntruder;
    std::vector<llama_seq_id*> ids(count, &intruder);
    std::vector<int8_t> none(count, 0);
    none.back() = 1;
    ASSERT_EQ(llama_decode(model_->context(),
                           {static_cast<int32_t>(count), tokens.data() + begin, nullptr,
                            positions.data(), ones.data(), ids.data(), none.data()}),
              0);
  }
  StepLoop loop(*model_);
  loop.Submit(1, Chat("small", 40));
  loop.Submit(2, Chat("grows and grows", 400));
  loop.Submit(3, Chat("small, too", 40));
  const auto answers = Drain(loop);
  EXPECT_EQ(answers.at(1).finish_reason, FinishReason::kLength);
  EXPECT_EQ(answers.at(3).finish_reason, FinishReason::kLength);
  ASSERT_TRUE(answers.at(2).error.has_value());
  EXPECT_EQ(answers.at(2).error->code, Code::kResourceExhausted);
}

TEST_P(StepLoopTest, SeedsMakeSampledAnswersRepeatable) {
  GenerateRequest request = Chat("Surprise me", 24);
  request.sampling = {.temperature = 1.5, .top_p = 0.95, .top_k = 50, .seed = 42};
  const Ended first = RunOne(request);
  EXPECT_EQ(RunOne(request).text, first.text);
  request.sampling.seed = 43;
  EXPECT_NE(RunOne(request).text, first.text);
}

// --- Loading ---

TEST_P(StepLoopTest, FactsSayWhatWasChosen) {
  const auto model = Load({});
  EXPECT_GE(model->facts().slots, 1u);
  EXPECT_LE(model->facts().slots, 64u);
  EXPECT_EQ(model->facts().context_tokens, 2048u);
  EXPECT_EQ(model->facts().threads, UsableCores());
  EXPECT_EQ(model->facts().batch_tokens, 512u);
  EXPECT_TRUE(model->facts().has_chat_template);
  EXPECT_THAT(model->facts().model, HasSubstr(GetParam()));
}

}  // namespace
}  // namespace inferq::engine::llama
