#include "engine/llama/preparer.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "engine/llama/channel.h"
#include "gguf/tiny_model.h"

namespace inferq::engine::llama {
namespace {

class PreparerTest : public ::testing::Test {
 protected:
  PreparerTest() {
    InitLlama();
    std::string pattern = ::testing::TempDir() + "inferq_prepare_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    model_ = *Model::Load({.path = testing::MakeTinyModel(directory_, "llama", 1),
                           .slots = 1,
                           .context_tokens = 64,
                           .threads = 1});
  }
  ~PreparerTest() override { std::filesystem::remove_all(directory_); }

  static Submit Ask(uint64_t id, bool interactive = false) {
    Submit submit{.id = id, .request = {}};
    submit.request.endpoint = Endpoint::kCompletions;
    submit.request.prompt = "hello";
    submit.request.interactive = interactive;
    return submit;
  }

  // The next `n` that are ready, in order.
  std::vector<uint64_t> Ready(size_t n) {
    std::vector<uint64_t> ids;
    while (ids.size() < n) {
      for (Order& order : inbox_.Take(true)) ids.push_back(std::get<Prepared>(order).id);
    }
    return ids;
  }

  std::string directory_;
  std::unique_ptr<Model> model_;
  Inbox inbox_;
};

TEST_F(PreparerTest, InteractiveOnesFirstAndCancelledOnesNever) {
  base::Mutex gate;
  gate.lock();  // holds the first one, so that the others wait behind it
  std::vector<uint64_t> started;
  Preparer preparer(*model_, {.on_start =
                                  [&](uint64_t id) {
                                    base::MutexLock wait(gate);
                                    started.push_back(id);
                                  },
                              .on_ready = [&](Prepared p) { inbox_.Push(std::move(p)); }});
  preparer.Submit(Ask(1));
  preparer.Submit(Ask(2));
  preparer.Submit(Ask(3));
  preparer.Submit(Ask(4, true));
  EXPECT_TRUE(preparer.Cancel(2)) << "it waits";
  EXPECT_FALSE(preparer.Cancel(99));
  gate.unlock();
  const auto ready = Ready(3);
  EXPECT_EQ(started, ready);
  EXPECT_EQ(std::ranges::count(ready, 2u), 0);
  EXPECT_LT(std::ranges::find(ready, 4u), std::ranges::find(ready, 3u));
  EXPECT_FALSE(preparer.Cancel(3)) << "it is ready: the step thread's to cancel";
}

TEST_F(PreparerTest, OneThatIsCancelledWhileItIsPreparedIsNotDelivered) {
  Preparer* self = nullptr;
  Preparer preparer(*model_, {.on_start =
                                  [&](uint64_t id) {
                                    if (id == 1) EXPECT_TRUE(self->Cancel(id));
                                  },
                              .on_ready = [&](Prepared p) { inbox_.Push(std::move(p)); }});
  self = &preparer;
  preparer.Submit(Ask(1));
  preparer.Submit(Ask(2));
  EXPECT_EQ(Ready(1), std::vector<uint64_t>{2});
}

}  // namespace
}  // namespace inferq::engine::llama
