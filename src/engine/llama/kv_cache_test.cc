#include "engine/llama/kv_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "engine/llama/model.h"
#include "engine/llama/token_batch.h"
#include "engine/llama/wait_queue.h"
#include "gguf/tiny_model.h"

namespace inferq::engine::llama {
namespace {

using Tokens = std::vector<llama_token>;

class KvCacheTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kCells = 256;

  KvCacheTest() {
    InitLlama();
    std::string pattern = ::testing::TempDir() + "inferq_kv_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    model_ = *Model::Load({.path = testing::MakeTinyModel(directory_, "llama", 1),
                           .slots = 4,
                           .context_tokens = kCells,
                           .kv_tokens = kCells,
                           .threads = 1,
                           .batch_tokens = kCells});
  }
  ~KvCacheTest() override { std::filesystem::remove_all(directory_); }

  KvCache Cache(uint64_t kept = kCells) {
    KvCache::Limits limits = model_->cache_limits();
    limits.kept_cells = kept;
    return {model_->context(), limits};
  }

  // Puts tokens [held, tokens.size()) of a sequence into the cache. @return llama_decode's answer.
  int32_t Compute(llama_seq_id sequence, const Tokens& tokens, size_t held) {
    TokenBatch batch(kCells);
    for (size_t i = held; i < tokens.size(); ++i) {
      batch.Add(tokens[i], i, sequence, i + 1 == tokens.size());
    }
    return llama_decode(model_->context(), batch.view());
  }
  // A request of its own: takes a place, shares, computes the rest.
  llama_seq_id Hold(KvCache& cache, const Tokens& prompt) {
    const llama_seq_id sequence = cache.Take().value();
    const size_t held = cache.Share(sequence, prompt, 0);
    EXPECT_EQ(Compute(sequence, prompt, held), 0);
    cache.Computed(sequence, prompt, prompt.size());
    return sequence;
  }
  // Whether exactly so many cells are free, by asking for them.
  void ExpectFree(KvCache& cache) {
    const llama_seq_id probe = cache.Take().value();
    EXPECT_EQ(Compute(probe, Tokens(cache.free() + 1, 5), 0), 1) << "one more does not fit";
    llama_memory_seq_rm(llama_get_memory(model_->context()), probe, -1, -1);
    EXPECT_EQ(Compute(probe, Tokens(cache.free(), 5), 0), 0) << "but so many do";
    cache.Drop(probe);
  }

  std::string directory_;
  std::unique_ptr<Model> model_;
};

Tokens Repeat(llama_token token, size_t n) { return Tokens(n, token); }

TEST_F(KvCacheTest, SharedCellsCountOnce) {
  KvCache cache = Cache();
  const Tokens prompt = Repeat(7, 50);
  const auto a = Hold(cache, prompt);
  EXPECT_EQ(cache.Shareable(prompt), 49u);
  const auto b = Hold(cache, prompt);
  EXPECT_EQ(cache.used(), 51u) << "each has a last token of its own";
  ExpectFree(cache);
  cache.Drop(a);
  EXPECT_EQ(cache.used(), 50u);
  ExpectFree(cache);
  cache.Drop(b);
  EXPECT_EQ(cache.used(), 0u);
}

TEST_F(KvCacheTest, TwinsThatWereComputedApartAreMadeOne) {
  KvCache cache = Cache();
  const Tokens prompt = Repeat(7, 50);
  const auto a = cache.Take().value();
  const auto b = cache.Take().value();
  for (const auto sequence : {a, b}) EXPECT_EQ(Compute(sequence, prompt, 0), 0);
  for (const auto sequence : {a, b}) cache.Computed(sequence, prompt, prompt.size());
  EXPECT_EQ(cache.used(), 51u);
  ExpectFree(cache);
}

TEST_F(KvCacheTest, WhatIsKeptIsSharedAndMakesRoom) {
  KvCache cache = Cache();
  Tokens said = Repeat(7, 60);
  const auto a = Hold(cache, Tokens(said.begin(), said.begin() + 50));
  EXPECT_EQ(Compute(a, said, 50), 0);
  cache.Computed(a, std::span(said).first(50), said.size());
  cache.Keep(a, said, 60, false);
  EXPECT_EQ(cache.in_use(), 0u);
  EXPECT_EQ(cache.used(), 60u);
  EXPECT_EQ(cache.kept(), 60u);
  said.push_back(8);
  EXPECT_EQ(cache.Shareable(said), 60u) << "its answer, too";
  EXPECT_TRUE(cache.MakeRoom(kCells));
  EXPECT_EQ(cache.used(), 0u);
  EXPECT_FALSE(cache.MakeRoom(kCells + 1));
}

TEST_F(KvCacheTest, WhatNobodyWaitsForGoesFirstAndHasALimit) {
  KvCache cache = Cache(40);
  const auto wanted = Hold(cache, Repeat(1, 30));
  const auto unwanted = Hold(cache, Repeat(2, 30));
  cache.Keep(wanted, Repeat(1, 30), 29, true);
  cache.Keep(unwanted, Repeat(2, 30), 29, false);
  EXPECT_EQ(cache.Shareable(Repeat(1, 30)), 29u);
  EXPECT_EQ(cache.Shareable(Repeat(2, 30)), 0u) << "58 kept cells are more than 40";
}

TEST_F(KvCacheTest, AllPlacesInUseIsSaid) {
  KvCache cache = Cache();
  uint32_t taken = 0;
  while (cache.Take()) ++taken;
  EXPECT_EQ(taken, cache.limits().sequences);
}

// --- Who is next ---

SequencePtr Waiting(uint32_t order, Tokens prompt, bool interactive = false) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = order;
  sequence->order = order;
  sequence->prompt_size = prompt.size();
  sequence->tokens = std::move(prompt);
  sequence->request.interactive = interactive;
  return sequence;
}

size_t Nothing(const Sequence&) { return 0; }

std::vector<uint64_t> Order(WaitQueue& queue, const std::function<size_t(const Sequence&)>& share) {
  std::vector<uint64_t> order;
  while (queue.Peek(share)) order.push_back(queue.Pop()->id);
  return order;
}

TEST(WaitQueueTest, InteractiveThenSuspectsThenPausedThenTheOthers) {
  WaitQueue queue;
  queue.Push(Waiting(1, {1}));
  queue.Push(Waiting(2, {2}));
  queue.PushPaused(Waiting(0, {3}));
  auto suspect = Waiting(3, {4});
  suspect->alone = true;
  queue.PushPaused(std::move(suspect));
  queue.Push(Waiting(4, {5}, true));
  EXPECT_EQ(Order(queue, Nothing), (std::vector<uint64_t>{4, 3, 0, 1, 2}));
}

TEST(WaitQueueTest, WhatSharesMostGoesFirstButOvertakesOnlySoOften) {
  WaitQueue queue;
  queue.Push(Waiting(0, {9}));
  for (uint32_t i = 1; i < 2000; ++i) queue.Push(Waiting(i, {1}));
  const auto order = Order(queue, [](const Sequence& s) { return s.tokens[0] == 1 ? 1u : 0u; });
  const auto place = static_cast<size_t>(std::ranges::find(order, 0u) - order.begin());
  EXPECT_EQ(place, WaitQueue::kOvertakenMax);
}

TEST(WaitQueueTest, WhoHasRunIsMorePatientThanNobody) {
  WaitQueue queue;
  queue.PushPaused(Waiting(0, {1}));
  for (uint32_t i = 1; i < 100; ++i) queue.Push(Waiting(i, {2}, true));
  const auto order = Order(queue, Nothing);
  EXPECT_EQ(order[WaitQueue::kPatience], 0u);
}

TEST(WaitQueueTest, RemoveTakesAllAnswersOfARequest) {
  WaitQueue queue;
  for (uint32_t i = 0; i < 6; ++i) {
    auto sequence = Waiting(i, {1, 2, 3});
    sequence->id = i % 2;
    queue.Push(std::move(sequence));
  }
  EXPECT_EQ(queue.Remove(1).size(), 3u);
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.Wanted(Tokens{1, 2, 4}), 2u);
  EXPECT_EQ(queue.Remove(0).size(), 3u);
  EXPECT_EQ(queue.Wanted(Tokens{1, 2, 4}), 0u);
}

}  // namespace
}  // namespace inferq::engine::llama
