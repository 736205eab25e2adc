// Sharing, pausing and failing: what StepLoop does with the memory of a real context.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/rng.h"
#include "engine/llama/step_loop.h"
#include "gguf/tiny_model.h"

namespace inferq::engine::llama {
namespace {

using base::Code;

struct Ended {
  std::string text;
  std::optional<FinishReason> finish_reason;
  Usage usage;
  std::optional<RequestError> error;
  uint64_t first_step = 0;  // with a token
};
using EndedAnswers = std::map<std::pair<uint64_t, uint32_t>, Ended>;

GenerateRequest Plain(std::string prompt, uint64_t max_tokens, bool interactive = false) {
  GenerateRequest request;
  request.endpoint = Endpoint::kCompletions;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.interactive = interactive;
  return request;
}

// `tokens` tokens that no vocabulary merges.
std::string Words(uint64_t seed, size_t tokens) {
  base::Rng rng(seed);
  std::string text;
  for (size_t i = 0; i < tokens; ++i) text += static_cast<char>(1 + rng.Below(8));
  return text;
}

class SharingTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { InitLlama(); }

  SharingTest() {
    std::string pattern = ::testing::TempDir() + "inferq_share_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = testing::MakeTinyModel(directory_, GetParam(), 1);
    Load({.slots = 8, .context_tokens = 512, .cache = CacheKind::kShared});
  }
  ~SharingTest() override { std::filesystem::remove_all(directory_); }

  void Load(ModelOptions options) {
    options.path = path_;
    options.threads = 1;
    model_.reset();
    auto model = Model::Load(std::move(options));
    ASSERT_TRUE(model.has_value()) << model.error().message();
    model_ = *std::move(model);
  }

  static void StepInto(StepLoop& loop, EndedAnswers& answers) {
    auto deltas = loop.Step();
    ASSERT_TRUE(deltas.has_value()) << deltas.error().message();
    for (const SequenceDelta& delta : *deltas) {
      Ended& answer = answers[{delta.id, delta.choice}];
      ASSERT_FALSE(answer.finish_reason || answer.error) << "a delta after the end";
      if (delta.tokens > 0 && answer.first_step == 0) answer.first_step = loop.stats().steps;
      answer.text += delta.text;
      answer.finish_reason = delta.finish_reason;
      answer.usage = delta.usage;
      answer.error = delta.error;
    }
  }
  static EndedAnswers Drain(StepLoop& loop) {
    EndedAnswers answers;
    for (int step = 0; loop.HasWork() && step < 100'000; ++step) StepInto(loop, answers);
    EXPECT_FALSE(loop.HasWork());
    return answers;
  }

  // Nothing but what is kept is in the cache, by our accounts and by llama.cpp's.
  void ExpectNothingLeaked(const StepLoop& loop) {
    EXPECT_EQ(loop.cache().in_use(), 0u);
    EXPECT_LE(loop.cache().used(), loop.cache().kept());
    const auto longest = llama_memory_seq_pos_max;
    uint64_t kept = 0;
    llama_memory_t memory = llama_get_memory(model_->context());
    for (llama_seq_id s = 0; s < static_cast<llama_seq_id>(loop.cache().limits().sequences); ++s) {
      kept += static_cast<uint64_t>(longest(memory, s) + 1);
    }
    EXPECT_EQ(kept, loop.cache().kept());
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<Model> model_;
};

INSTANTIATE_TEST_SUITE_P(Models, SharingTest, ::testing::Values("llama", "glm4"),
                         [](const auto& info) { return std::string(info.param); });

// --- Shared beginnings ---

TEST_P(SharingTest, ACommonBeginningIsComputedOnce) {
  StepLoop loop(*model_);
  for (uint64_t id = 0; id < 8; ++id) loop.Submit(id, Plain(Words(1, 200) + Words(id + 2, 20), 10));
  const auto answers = Drain(loop);
  ASSERT_EQ(answers.size(), 8u);
  const EngineStats stats = loop.stats();
  EXPECT_EQ(stats.computed_tokens, stats.distinct_tokens);
  EXPECT_LE(stats.computed_tokens, 200u + 8 * 20);
  uint64_t cached = 0;
  for (const auto& [id, answer] : answers) cached += answer.usage.cached_tokens;
  EXPECT_EQ(cached, stats.shared_tokens);
  EXPECT_EQ(stats.shared_tokens + stats.computed_tokens, 8u * 220);
}

TEST_P(SharingTest, ATreeInAnyOrderWithFewSlotsIsComputedOnce) {
  Load({.slots = 3, .context_tokens = 512, .cache = CacheKind::kShared});
  StepLoop loop(*model_);
  std::vector<uint64_t> order(48);
  for (uint64_t i = 0; i < order.size(); ++i) order[i] = i;
  base::Rng rng(7);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  for (uint64_t id : order) {
    const uint64_t branch = id % 4;
    const uint64_t twig = id % 16;
    loop.Submit(id, Plain(Words(1, 50) + Words(100 + branch, 60) + Words(200 + twig, 40) +
                              Words(300 + id, 8),
                          4));
  }
  Drain(loop);
  const EngineStats stats = loop.stats();
  EXPECT_LE(stats.computed_tokens, stats.distinct_tokens * 105 / 100);
  ExpectNothingLeaked(loop);
}

TEST_P(SharingTest, WhoComesWhileOthersRunShares) {
  StepLoop loop(*model_);
  EndedAnswers answers;
  loop.Submit(1, Plain(Words(1, 200), 60));
  for (int i = 0; i < 10; ++i) StepInto(loop, answers);
  loop.Submit(2, Plain(Words(1, 200) + "x", 5));
  while (loop.HasWork()) StepInto(loop, answers);
  EXPECT_GE((answers[{2, 0}].usage.cached_tokens), 199u);
}

TEST_P(SharingTest, WhatWaitersBeginWithOutlivesItsSequence) {
  Load({.slots = 1, .context_tokens = 512, .cache = CacheKind::kShared});
  StepLoop loop(*model_);
  for (uint64_t id = 0; id < 5; ++id) loop.Submit(id, Plain(Words(1, 100) + Words(id + 2, 9), 3));
  const auto answers = Drain(loop);
  for (uint64_t id = 1; id < 5; ++id) EXPECT_GE((answers.at({id, 0}).usage.cached_tokens), 99u);
}

TEST_P(SharingTest, AConversationGoesOnFromItsCache) {
  StepLoop loop(*model_);
  loop.Submit(1, Plain(Words(1, 100), 20, true));
  const auto first = Drain(loop);
  EXPECT_GE(loop.cache().kept(), 119u) << "what it said is kept, too";
  loop.Submit(2, Plain(Words(1, 100) + "more", 3, true));
  EXPECT_GE((Drain(loop).at({2, 0}).usage.cached_tokens), 100u);
  ExpectNothingLeaked(loop);
}

TEST_P(SharingTest, SeveralAnswersShareTheirPrompt) {
  StepLoop loop(*model_);
  GenerateRequest request = Plain(Words(1, 100), 6);
  request.n = 5;
  loop.Submit(1, request);
  const auto answers = Drain(loop);
  ASSERT_EQ(answers.size(), 5u);
  for (const auto& [key, answer] : answers) EXPECT_EQ(answer.usage.completion_tokens, 6u);
  EXPECT_EQ(loop.stats().computed_tokens, 100u + 4) << "each needs the last token's logits";
}

// Logits of one request, token after token along the path that it took the first time.
using Rows = std::vector<std::vector<float>>;
constexpr uint64_t kObserved = 100;

Rows Observe(Model& model, std::vector<llama_token>& path,
             const std::function<void(StepLoop&)>& drive) {
  Rows rows;
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence& s, std::span<const float> logits, llama_token chosen) {
    if (s.id != kObserved) return chosen;
    rows.emplace_back(logits.begin(), logits.end());
    if (path.size() < rows.size()) path.push_back(chosen);
    return path[rows.size() - 1];
  };
  StepLoop loop(model, hooks);
  drive(loop);
  while (loop.HasWork()) EXPECT_TRUE(loop.Step().has_value());
  return rows;
}

// Company, chunks and pauses change the order of sums and so the last bits (here up to 0.8 % of the
// logits' root mean square: f16 weights and cache, flash attention); more would be a mistake. Where
// another token comes out on top, the two were closer than that.
void ExpectSame(const Rows& alone, const Rows& other) {
  ASSERT_EQ(alone.size(), other.size());
  double squares = 0;
  for (const auto& row : alone) {
    for (float value : row) squares += double{value} * value;
  }
  const auto count = static_cast<double>(alone.size() * alone.front().size());
  const auto tolerance = static_cast<float>(0.02 * std::sqrt(squares / count));
  for (size_t i = 0; i < alone.size(); ++i) {
    float worst = 0;
    for (size_t t = 0; t < alone[i].size(); ++t) {
      worst = std::max(worst, std::abs(alone[i][t] - other[i][t]));
    }
    EXPECT_LE(worst, tolerance) << "token " << i;
    const float best = alone[i][ArgMax(alone[i])];
    const float same_in_other = alone[i][ArgMax(other[i])];
    EXPECT_LE(best - same_in_other, 2 * tolerance) << "token " << i;
  }
}

TEST_P(SharingTest, SharingDoesNotChangeWhatIsSaid) {
  const GenerateRequest request = Plain(Words(1, 110) + Words(50, 10), 30);
  std::vector<llama_token> path;
  const Rows alone =
      Observe(*model_, path, [&](StepLoop& loop) { loop.Submit(kObserved, request); });
  uint64_t shared = 0;
  const Rows together = Observe(*model_, path, [&](StepLoop& loop) {
    for (uint64_t id = 0; id < 5; ++id) {
      loop.Submit(id, Plain(Words(1, 80 + 10 * id) + Words(id + 2, 20), 7 * id + 3));
    }
    loop.Submit(kObserved, request);
    while (loop.HasWork()) EXPECT_TRUE(loop.Step().has_value());
    shared = loop.stats().shared_tokens;
  });
  EXPECT_GT(shared, 400u);
  ExpectSame(alone, together);
}

TEST_P(SharingTest, ChunksOfAnySizeSayTheSame) {
  const GenerateRequest request = Plain(Words(3, 200), 20);
  std::vector<llama_token> path;
  const auto submit = [&](StepLoop& loop) { loop.Submit(kObserved, request); };
  const Rows whole = Observe(*model_, path, submit);
  for (const CacheKind cache : {CacheKind::kShared, CacheKind::kSeparate}) {
    for (const uint32_t chunk : {8u, 16u, 33u, 64u, 199u, 200u}) {
      Load({.slots = 2, .context_tokens = 512, .batch_tokens = chunk, .cache = cache});
      ExpectSame(whole, Observe(*model_, path, submit));
    }
  }
}

TEST_P(SharingTest, WhatWasPausedAndComputedAgainSaysTheSame) {
  const GenerateRequest request = Plain(Words(4, 60), 40);
  std::vector<llama_token> path;
  const Rows alone =
      Observe(*model_, path, [&](StepLoop& loop) { loop.Submit(kObserved, request); });
  for (const CacheKind cache : {CacheKind::kShared, CacheKind::kSeparate}) {
    Load({.slots = 1, .context_tokens = 512, .cache = cache});
    uint64_t pauses = 0;
    const Rows paused = Observe(*model_, path, [&](StepLoop& loop) {
      loop.Submit(kObserved, request);
      for (uint64_t id = 0; id < 3; ++id) {
        for (int i = 0; i < 8; ++i) EXPECT_TRUE(loop.Step().has_value());
        loop.Submit(id, Plain(Words(id + 10, 40), 3, true));
      }
      while (loop.HasWork()) EXPECT_TRUE(loop.Step().has_value());
      pauses = loop.stats().pauses;
    });
    EXPECT_EQ(pauses, 3u);
    ExpectSame(alone, paused);
  }
}

// --- Memory and pauses ---

TEST_P(SharingTest, WhoOutgrowsTheMemoryIsPausedAndGoesOn) {
  Load({.slots = 6, .context_tokens = 512, .kv_tokens = 700});
  StepLoop loop(*model_);
  // What is expected is learned from short answers; then come long ones.
  for (uint64_t id = 0; id < 6; ++id) {
    GenerateRequest request = Plain(Words(id, 20), 5);
    request.ignore_eos = false;
    loop.Submit(id, request);
  }
  Drain(loop);
  std::map<uint64_t, std::string> alone;
  std::vector<GenerateRequest> requests;
  for (uint64_t id = 10; id < 16; ++id) {
    requests.push_back(Plain(Words(id, 60), 200));
    requests.back().ignore_eos = false;
  }
  StepHooks hooks;  // none of them ends by itself
  hooks.on_logits = [this](const Sequence& s, std::span<const float>, llama_token chosen) {
    return model_->IsEnd(chosen) ? static_cast<llama_token>(s.id) : chosen;
  };
  StepLoop tight(*model_, hooks);
  for (uint64_t id = 0; id < 6; ++id) tight.Submit(id, Plain(Words(id, 20), 5));
  Drain(tight);
  for (uint64_t i = 0; i < 6; ++i) {
    requests[i].ignore_eos = true;
    tight.Submit(10 + i, requests[i]);
  }
  const auto answers = Drain(tight);
  for (const auto& [key, answer] : answers) {
    EXPECT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.usage.completion_tokens, 200u);
  }
  ExpectNothingLeaked(tight);
}

TEST_P(SharingTest, AnInteractiveRequestEntersAtTheNextStep) {
  Load({.slots = 4, .context_tokens = 512, .cache = CacheKind::kShared});
  StepLoop loop(*model_);
  EndedAnswers answers;
  for (uint64_t id = 0; id < 4; ++id) loop.Submit(id, Plain(Words(id, 30), 100));
  for (int i = 0; i < 10; ++i) StepInto(loop, answers);
  ASSERT_EQ(loop.running(), 4u);
  const uint64_t before = loop.stats().steps;
  loop.Submit(100, Plain(Words(100, 30), 5, true));
  while (loop.HasWork()) StepInto(loop, answers);
  EXPECT_EQ((answers[{100, 0}].first_step), before + 1);
  for (uint64_t id = 0; id < 4; ++id) {
    EXPECT_EQ((answers[{id, 0}].usage.completion_tokens), 100u);
    EXPECT_EQ((answers[{id, 0}].finish_reason), FinishReason::kLength);
  }
  EXPECT_EQ(loop.stats().pauses, 1u) << "one gave its slot";
}

TEST_P(SharingTest, APauseDoesNotChangeWhatIsSaid) {
  // Alone, then with an interactive request that takes the only slot in the middle.
  Load({.slots = 1, .context_tokens = 512, .cache = CacheKind::kShared});
  std::string alone;
  {
    StepLoop loop(*model_);
    loop.Submit(1, Plain(Words(1, 50), 40));
    alone = Drain(loop).at({1, 0}).text;
  }
  StepLoop loop(*model_);
  EndedAnswers answers;
  loop.Submit(1, Plain(Words(1, 50), 40));
  for (int i = 0; i < 15; ++i) StepInto(loop, answers);
  loop.Submit(2, Plain(Words(2, 50), 5, true));
  while (loop.HasWork()) StepInto(loop, answers);
  EXPECT_EQ((answers[{1, 0}].text), alone);
  EXPECT_EQ(loop.stats().pauses, 1u);
}

TEST_P(SharingTest, ASteadyStreamOfInteractiveRequestsDoesNotStarveTheBatch) {
  Load({.slots = 4, .context_tokens = 512, .cache = CacheKind::kShared});
  StepLoop loop(*model_);
  EndedAnswers answers;
  loop.Submit(1, Plain(Words(1, 30), 60));
  uint64_t next = 100;
  for (int step = 0; step < 2'000 && !answers[{1, 0}].finish_reason; ++step) {
    if (loop.running() + loop.waiting() < 6) {
      ++next;
      loop.Submit(next, Plain(Words(next, 40), 1, true));
    }
    StepInto(loop, answers);
  }
  EXPECT_EQ((answers[{1, 0}].finish_reason), FinishReason::kLength);
}

// --- Failures ---

TEST_P(SharingTest, AFailingStepFailsOnlyWhoFailsAlone) {
  constexpr uint64_t kGuilty = 3;
  const llama_token refused = model_->Prepare(Plain("\x0b", 1))->tokens.back();
  StepHooks hooks;
  hooks.decode = [refused](llama_context* context, llama_batch batch) {
    for (int32_t i = 0; i < batch.n_tokens; ++i) {
      if (batch.token[i] == refused) return -3;
    }
    return llama_decode(context, batch);
  };
  hooks.on_logits = [refused](const Sequence&, std::span<const float>, llama_token chosen) {
    return chosen == refused ? chosen + 1 : chosen;
  };
  StepLoop taken(*model_, hooks);
  for (uint64_t id = 0; id < 6; ++id) {
    taken.Submit(id, Plain(Words(id, 30) + (id == kGuilty ? "\x0b" : ""), 20));
  }
  const auto answers = Drain(taken);
  for (const auto& [key, answer] : answers) {
    if (key.first == kGuilty) {
      ASSERT_TRUE(answer.error.has_value());
      EXPECT_EQ(answer.error->code, Code::kInternal);
      EXPECT_THAT(answer.error->message, ::testing::HasSubstr("-3"));
    } else {
      EXPECT_FALSE(answer.error);
      EXPECT_EQ(answer.usage.completion_tokens, 20u);
    }
  }
  taken.Submit(50, Plain(Words(50, 10), 3));
  EXPECT_EQ((Drain(taken).at({50, 0}).usage.completion_tokens), 3u) << "the engine goes on";
  ExpectNothingLeaked(taken);
}

// Alone it fails in its second chunk only: until then it stays alone.
// The last of the suspects to run fails in its third chunk. Let back into company after the first
// one, it would fail others a second time.
TEST_P(SharingTest, ASuspectHasNoCompanyUntilAllOfItWasComputed) {
  Load({.slots = 8, .context_tokens = 512, .batch_tokens = 48, .cache = CacheKind::kShared});
  const llama_token refused = model_->Prepare(Plain("\x0b", 1))->tokens.back();
  int failures = 0;
  StepHooks hooks;
  hooks.decode = [refused, &failures](llama_context* context, llama_batch batch) {
    const std::span<const llama_token> tokens(batch.token, static_cast<size_t>(batch.n_tokens));
    if (std::ranges::count(tokens, refused) == 0) return llama_decode(context, batch);
    ++failures;
    return -3;
  };
  hooks.on_logits = [refused](const Sequence&, std::span<const float>, llama_token chosen) {
    return chosen == refused ? chosen + 1 : chosen;
  };
  StepLoop loop(*model_, hooks);
  EndedAnswers answers;
  uint64_t next = 1;
  const auto submit_company = [&] {
    loop.Submit(next, Plain(Words(next, 10), 20));
    ++next;
  };
  for (int i = 0; i < 3; ++i) submit_company();
  loop.Submit(0, Plain(Words(1, 100) + "\x0b", 5));
  for (int step = 0; step < 500 && !answers[{0, 0}].error; ++step) {
    StepInto(loop, answers);
    while (failures > 0 && loop.running() + loop.waiting() < 6) submit_company();
  }
  EXPECT_TRUE((answers[{0, 0}].error.has_value()));
  EXPECT_EQ(failures, 2);  // in company, and alone
}

// Random company: whatever comes, goes, pauses or fails, every request ends once and no cell and no
// sequence is lost.
TEST_P(SharingTest, TenThousandAdmissionsLeakNothing) {
  for (const CacheKind cache : {CacheKind::kShared, CacheKind::kSeparate}) {
    Load({.slots = 6,
          .context_tokens = 128,
          .kv_tokens = cache == CacheKind::kShared ? 300u : 0u,
          .batch_tokens = 48,
          .cache = cache});
    base::Rng rng(11);
    StepHooks hooks;
    hooks.decode = [&rng](llama_context* context, llama_batch batch) {
      return rng.Chance(0.002) ? -3 : llama_decode(context, batch);
    };
    StepLoop loop(*model_, hooks);
    EndedAnswers answers;
    std::set<uint64_t> cancelled;
    uint64_t next = 0;
    for (; next < 5'000;) {
      while (loop.waiting() < 12) {
        std::string prompt = Words(rng.Below(3), 1 + rng.Below(60)) + Words(next, rng.Below(20));
        GenerateRequest request = Plain(std::move(prompt), 1 + rng.Below(40), rng.Chance(0.1));
        request.ignore_eos = rng.Chance(0.5);
        loop.Submit(next++, std::move(request));
      }
      if (rng.Chance(0.1)) {
        const uint64_t id = next - 1 - rng.Below(20);
        loop.Cancel(id);
        cancelled.insert(id);
      }
      ASSERT_NO_FATAL_FAILURE(StepInto(loop, answers));
      ASSERT_LE(loop.cache().used(), loop.cache().limits().cells);
    }
    while (loop.HasWork()) ASSERT_NO_FATAL_FAILURE(StepInto(loop, answers));
    EXPECT_EQ(answers.size(), next);
    for (const auto& [key, answer] : answers) {
      EXPECT_TRUE(answer.finish_reason || answer.error);
      if (answer.finish_reason == FinishReason::kCancelled) {
        EXPECT_TRUE(cancelled.contains(key.first));
      }
    }
    ExpectNothingLeaked(loop);
    EXPECT_GT(loop.stats().pauses, 0u);
  }
}

// The other accounts: llama.cpp itself says when its cells are full.
TEST_P(SharingTest, TheAccountsAreLlamaCppsOwn) {
  Load({.slots = 4, .context_tokens = 256, .kv_tokens = 512});
  base::Rng rng(3);
  StepHooks hooks;
  uint64_t full = 0;
  hooks.decode = [&full](llama_context* context, llama_batch batch) {
    const int32_t status = llama_decode(context, batch);
    full += status == 1;
    return status;
  };
  StepLoop loop(*model_, hooks);
  for (uint64_t id = 0; id < 300; ++id) {
    loop.Submit(id, Plain(Words(rng.Below(4), 1 + rng.Below(120)) + Words(id, 1 + rng.Below(30)),
                          1 + rng.Below(90)));
  }
  Drain(loop);
  EXPECT_EQ(full, 0u);
}

// --- Which kind of cache ---

TEST_P(SharingTest, TheFirstOfManyThatBeginAlikeDecidesNothing) {
  Load({.slots = 64, .context_tokens = 576});
  StepLoop loop(*model_);
  EndedAnswers answers;
  loop.Submit(0, Plain(Words(1, 512) + Words(2, 32), 16));
  StepInto(loop, answers);
  for (uint64_t id = 1; id < 64; ++id)
    loop.Submit(id, Plain(Words(1, 512) + Words(id + 2, 32), 16));
  while (loop.HasWork()) StepInto(loop, answers);
  EXPECT_TRUE(loop.stats().shared_cache);
  EXPECT_LE(loop.stats().computed_tokens, loop.stats().distinct_tokens * 105 / 100);
}

TEST_P(SharingTest, AThousandThatWaitKeepSharing) {
  Load({.slots = 32, .context_tokens = 128});
  StepLoop loop(*model_);
  for (uint64_t id = 0; id < 1'000; ++id) {
    loop.Submit(id, Plain(Words(1, 64) + Words(id + 2, 24), 8));
  }
  Drain(loop);
  EXPECT_TRUE(loop.stats().shared_cache);
  EXPECT_LE(loop.stats().computed_tokens, loop.stats().distinct_tokens * 105 / 100);
}

TEST_P(SharingTest, PromptsThatShareNothingGetSeparateCachesAndViceVersa) {
  Load({.slots = 32, .context_tokens = 512});
  StepLoop loop(*model_);
  EXPECT_TRUE(loop.stats().shared_cache);
  for (uint64_t id = 0; id < 200; ++id) loop.Submit(id, Plain(Words(id, 60), 20));
  EXPECT_EQ(Drain(loop).size(), 200u);
  EXPECT_FALSE(loop.stats().shared_cache);
  for (uint64_t id = 1000; id < 1500; ++id) {
    loop.Submit(id, Plain(Words(1, 200) + Words(id, 10), 5));
  }
  EXPECT_EQ(Drain(loop).size(), 500u);
  EXPECT_TRUE(loop.stats().shared_cache);
}

}  // namespace
}  // namespace inferq::engine::llama
