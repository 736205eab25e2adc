#include "engine/llama/llama_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/file_system.h"
#include "gguf/tiny_model.h"
#include "runtime/asio_runtime.h"
#include "runtime/child_process.h"
#include "runtime/event.h"
#include "runtime/local_socket.h"

namespace inferq::engine::llama {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Body(std::string_view text, int max_tokens) {
  return fmt::format(
      R"({{"messages":[{{"role":"user","content":"{}"}}],"max_tokens":{},"temperature":0,)"
      R"("ignore_eos":true}})",
      text, max_tokens);
}

Request Chat(std::string_view text, int max_tokens = 8) {
  Request request;
  request.id = "attempt";
  request.body = Body(text, max_tokens);
  return request;
}

// The failure; a success is one that no test expects.
template <class T>
base::Error ErrorOf(const Result<T>& result) {
  return result ? base::Error(Code::kInternal, "it succeeded") : result.error();
}

// So long that it never ends by itself within a test.
Request Endless() { return Chat("on and on", 60'000); }

class LlamaEngineTest : public ::testing::Test {
 protected:
  LlamaEngineTest() {
    std::string pattern = ::testing::TempDir() + "inferq_llama_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    options_.slots = 1;
    options_.context_tokens = 65'536;
    options_.threads = 1;
    options_.backoff_min = 1ms;
  }
  ~LlamaEngineTest() override { std::filesystem::remove_all(directory_); }

  LlamaOptions WithModel() {
    LlamaOptions options = options_;
    options.model_path = testing::MakeTinyModel(directory_, "glm4", 1);
    return options;
  }

  // An executable in place of inferq-engine: the socket is descriptor 3.
  LlamaOptions WithScript(std::string_view script) {
    LlamaOptions options = WithModel();
    options.engine_binary = directory_ + "/fake-engine";
    EXPECT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), options.engine_binary,
                                          fmt::format("#!/bin/sh\n{}\n", script)));
    EXPECT_EQ(::chmod(options.engine_binary.c_str(), 0700), 0);
    return options;
  }

  std::string WriteFile(const std::string& name, std::string_view contents) {
    const std::string path = directory_ + "/" + name;
    EXPECT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, contents));
    return path;
  }

  // Runs a test's coroutine with an engine; Stop comes after it.
  using Test = Awaitable<void> (*)(runtime::Runtime&, LlamaEngine&);
  void Run(LlamaOptions options, Test test) {
    auto engine = std::make_unique<LlamaEngine>(runtime_, std::move(options));
    auto whole = [](runtime::AsioRuntime& runtime, LlamaEngine& e, Test body) -> Awaitable<void> {
      co_await body(runtime, e);
      co_await e.Stop();
      runtime.Stop();
    };
    runtime_.SpawnDetached(whole(runtime_, *engine, test));
    runtime_.Run();
    EXPECT_EQ(engine->child_pid(), 0);
  }

  // What Start says about these options.
  Result<> StartWith(LlamaOptions options) {
    static Result<> outcome;
    outcome = {};
    Run(std::move(options), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
      outcome = co_await engine.Start();
    });
    return outcome;
  }

  runtime::AsioRuntime runtime_;
  std::string directory_;
  LlamaOptions options_;
};

Awaitable<Result<Delta>> Ask(LlamaEngine& engine, Request request) {
  auto generation = engine.Submit(std::move(request));
  if (!generation) co_return std::unexpected(generation.error());
  co_return co_await Collect(**generation);
}

Awaitable<void> AskInto(LlamaEngine& engine, Request request, Result<Delta>& out) {
  out = co_await Ask(engine, std::move(request));
}

Request EmbedBody(std::string body) {
  Request request;
  request.id = "attempt";
  request.endpoint = Endpoint::kEmbeddings;
  request.model = "m";
  request.body = std::move(body);
  return request;
}

Request EmbedText(std::string_view text) {
  return EmbedBody(fmt::format(R"({{"input":"{}"}})", text));
}

// --- Normal life ---

TEST_F(LlamaEngineTest, AModelThatOnlyEmbedsRefusesToWrite) {
  LlamaOptions options = options_;
  options.model_path = testing::MakeTinyModel(directory_, "bert", 1);
  Run(options, [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    const auto started = co_await engine.Start();
    EXPECT_TRUE(started.has_value()) << ErrorOf(started).message();
    const auto vector = co_await Ask(engine, EmbedText("hello"));
    EXPECT_TRUE(vector.has_value()) << ErrorOf(vector).message();
    const auto chat = co_await Ask(engine, Chat("hello"));
    EXPECT_EQ(ErrorOf(chat).code(), Code::kInvalidArgument);
    EXPECT_THAT(ErrorOf(chat).message(), HasSubstr("/v1/embeddings"));
    const auto again = co_await Ask(engine, EmbedText("hello"));
    EXPECT_TRUE(again.has_value());
  });
}

TEST_F(LlamaEngineTest, AnswersRequestsThroughTheChild) {
  LlamaOptions options = WithModel();
  options.slots = 3;
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    EXPECT_FALSE(engine.capacity().ready);
    const auto started = co_await engine.Start();
    EXPECT_TRUE(started.has_value()) << started.error().message();
    EXPECT_TRUE(engine.capacity().ready);
    EXPECT_EQ(engine.capacity().slots, 3u);
    EXPECT_EQ(engine.capacity().context_tokens, 65'536u);
    EXPECT_THAT(engine.Describe(), AllOf(HasSubstr("llama tiny-glm4-1.gguf"), HasSubstr("glm4")));

    std::vector<Result<Delta>> answers(20);
    runtime::Scope scope(runtime);
    for (size_t i = 0; i < answers.size(); ++i) {
      scope.Spawn(
          AskInto(engine, Chat(fmt::format("number {}", i), 5 + static_cast<int>(i)), answers[i]));
    }
    co_await scope.Join();
    for (size_t i = 0; i < answers.size(); ++i) {
      EXPECT_TRUE(answers[i].has_value()) << answers[i].error().message();
      if (!answers[i]) continue;
      EXPECT_EQ(answers[i]->finish_reason, FinishReason::kLength);
      EXPECT_EQ(answers[i]->usage.completion_tokens, 5 + i);
      EXPECT_GT(answers[i]->usage.prompt_tokens, 3u);
      EXPECT_EQ(answers[i]->tokens, 5 + i);
    }
    EXPECT_EQ(engine.capacity().running, 0u);
  });
}

// Asks for eight embeddings at once. @return how many micro-batches they became.
Awaitable<uint64_t> EmbedEight(runtime::Runtime& runtime, LlamaEngine& engine) {
  std::vector<Result<Delta>> answers(8);
  runtime::Scope scope(runtime);
  for (size_t i = 0; i < answers.size(); ++i)
    scope.Spawn(AskInto(engine, EmbedText(fmt::format("number {}", i)), answers[i]));
  co_await scope.Join();
  for (const auto& answer : answers) {
    EXPECT_TRUE(answer.has_value()) << answer.error().message();
    if (!answer) continue;
    EXPECT_EQ(answer->finish_reason, FinishReason::kStop);
    EXPECT_GT(answer->usage.prompt_tokens, 0u);
    EXPECT_THAT(answer->raw_response,
                AllOf(HasSubstr(R"("object":"embedding","index":0,"embedding":[)"),
                      HasSubstr(R"("model":"m")")));
  }
  EXPECT_EQ(engine.embed_counts().inputs, 8u);
  co_return engine.embed_counts().batches;
}

TEST_F(LlamaEngineTest, ConcurrentEmbeddingsShareAMicroBatch) {
  LlamaOptions options = WithModel();
  options.embed_window = 1s;  // a loaded machine sends them in time, too
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    const uint64_t batches = co_await EmbedEight(runtime, engine);
    EXPECT_EQ(batches, 1u);
  });
}

TEST_F(LlamaEngineTest, WithoutAWindowEmbeddingsGoAlone) {
  LlamaOptions options = WithModel();
  options.embed_window = 0s;
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    const uint64_t batches = co_await EmbedEight(runtime, engine);
    EXPECT_EQ(batches, 8u);
  });
}

TEST_F(LlamaEngineTest, EmbeddingsRunBesideGeneration) {
  Run(WithModel(), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto endless = engine.Submit(Endless());
    (void)co_await (*endless)->Next();
    const auto vector = co_await Ask(engine, EmbedText("in between"));
    EXPECT_TRUE(vector.has_value());
    const auto more = co_await (*endless)->Next();
    EXPECT_TRUE(more.has_value() && !more->finish_reason);
  });
}

TEST_F(LlamaEngineTest, ManyInputsComeBackInOrder) {
  Run(WithModel(), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    std::string inputs = R"("text 0")";
    for (int i = 1; i < 200; ++i) inputs += fmt::format(R"(,"text {}")", i);
    const auto all = co_await Ask(engine, EmbedBody(fmt::format(R"({{"input":[{}]}})", inputs)));
    EXPECT_TRUE(all.has_value()) << ErrorOf(all).message();
    if (!all) co_return;
    EXPECT_GE(engine.embed_counts().batches, 4u);  // 64 at once
    const auto last = co_await Ask(engine, EmbedText("text 199"));
    EXPECT_TRUE(last.has_value()) << ErrorOf(last).message();
    // Its first digits: the others depend on the company.
    const std::string_view begin = R"("index":199,"embedding":[)";
    const auto at = all->raw_response.find(begin);
    EXPECT_NE(at, std::string::npos);
    const auto lone = last->raw_response.find('[', last->raw_response.find("embedding\":["));
    EXPECT_NEAR(std::stod(all->raw_response.substr(at + begin.size(), 20)),
                std::stod(last->raw_response.substr(lone + 1, 20)), 1e-3);
  });
}

TEST_F(LlamaEngineTest, WrongEmbeddingsNameTheFieldAndHarmNoOther) {
  LlamaOptions options = WithModel();
  options.embed_window = 1s;
  options.embed_tokens = 100;
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    const auto unknown = co_await Ask(engine, EmbedBody(R"({"input":"a","top_p":1})"));
    EXPECT_EQ(ErrorOf(unknown).param(), "body.top_p");
    Result<Delta> good;
    Result<Delta> long_one;
    Result<Delta> wide;
    runtime::Scope scope(runtime);
    scope.Spawn(AskInto(engine, EmbedText("good"), good));
    scope.Spawn(AskInto(
        engine, EmbedBody(fmt::format(R"({{"input":["a","{}","c"]}})", std::string(500, '?'))),
        long_one));
    scope.Spawn(AskInto(engine, EmbedBody(R"({"input":"a","dimensions":65})"), wide));
    co_await scope.Join();
    EXPECT_TRUE(good.has_value());
    EXPECT_EQ(ErrorOf(long_one).code(), Code::kInvalidArgument);
    EXPECT_EQ(ErrorOf(long_one).param(), "body.input[1]");
    EXPECT_THAT(ErrorOf(long_one).message(), HasSubstr("more than the 100"));
    EXPECT_EQ(ErrorOf(wide).param(), "body.dimensions");
    EXPECT_EQ(engine.embed_counts().batches, 1u);
  });
}

TEST_F(LlamaEngineTest, CancelledAndLateEmbeddingsLeaveTheMicroBatch) {
  LlamaOptions options = WithModel();
  options.embed_window = 1s;
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto cancelled = engine.Submit(EmbedText("a"));
    (*cancelled)->Cancel();
    const auto end = co_await Collect(**cancelled);
    EXPECT_EQ(end->finish_reason, FinishReason::kCancelled);
    Request late = EmbedText("b");
    late.deadline = runtime.clock().Steady() + 1ms;
    const auto too_late = co_await Ask(engine, late);
    EXPECT_EQ(ErrorOf(too_late).code(), Code::kDeadlineExceeded);
    const auto fine = co_await Ask(engine, EmbedText("c"));
    EXPECT_TRUE(fine.has_value());
    EXPECT_EQ(engine.embed_counts(), (EmbedCounts{.batches = 1, .inputs = 1}));
  });
}

TEST_F(LlamaEngineTest, ADeadChildMakesSuspectsOfTheMicroBatchAndSparesTheNext) {
  LlamaOptions options = WithModel();
  options.embed_window = 1s;
  Run(options, [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto waiting = engine.Submit(EmbedText("in the window"));
    ::kill(engine.child_pid(), SIGKILL);
    auto spared = co_await Collect(**waiting);  // it was not sent; the next child runs it
    EXPECT_TRUE(spared.has_value()) << ErrorOf(spared).message();
    EXPECT_EQ(engine.embed_counts().batches, 1u);
    std::string inputs = R"("text 0")";  // long enough to be caught at it
    for (int i = 1; i < 2048; ++i) inputs += fmt::format(R"(,"{} {}")", std::string(300, 'x'), i);
    auto running = engine.Submit(EmbedBody(fmt::format(R"({{"input":[{}]}})", inputs)));
    while (engine.capacity().running == 0) co_await runtime.SleepFor(1ms);
    ::kill(engine.child_pid(), SIGKILL);
    const auto suspect = co_await Collect(**running);
    EXPECT_EQ(ErrorOf(suspect).code(), Code::kAborted);
    const auto fine = co_await Ask(engine, EmbedText("after it"));
    EXPECT_TRUE(fine.has_value()) << ErrorOf(fine).message();
  });
}

TEST_F(LlamaEngineTest, WrongRequestsNameTheField) {
  Run(WithModel(), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    Request two = Chat("hi");
    two.body = R"({"messages":[{"role":"user","content":"hi"}],"n":17})";
    const auto refused = co_await Ask(engine, two);
    EXPECT_EQ(ErrorOf(refused).code(), Code::kInvalidArgument);
    EXPECT_EQ(ErrorOf(refused).param(), "body.n");

    Request image = Chat("hi");
    image.body =
        R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]})";
    const auto no_image = co_await Ask(engine, image);
    EXPECT_EQ(ErrorOf(no_image).code(), Code::kInvalidArgument);
    EXPECT_THAT(ErrorOf(no_image).message(), HasSubstr("image"));

    Request role = Chat("hi");  // found by the template, in the child
    role.body = R"({"messages":[{"role":"function","content":"hi"}]})";
    const auto no_role = co_await Ask(engine, role);
    EXPECT_EQ(ErrorOf(no_role).code(), Code::kInvalidArgument);
    EXPECT_EQ(ErrorOf(no_role).param(), "body.messages");

    const auto fine = co_await Ask(engine, Chat("hi"));
    EXPECT_TRUE(fine.has_value());
  });
}

TEST_F(LlamaEngineTest, SeveralAnswersAreOneBody) {
  LlamaOptions options = WithModel();
  options.slots = 4;
  Run(options, [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    Request request = Chat("hi");
    request.id = "req_00ff_1";
    request.model = "m";
    request.body = R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":4,"n":3,)"
                   R"("ignore_eos":true,"seed":1})";
    const auto whole = co_await Ask(engine, request);
    EXPECT_TRUE(whole.has_value()) << whole.error().message();
    if (!whole) co_return;
    EXPECT_EQ(whole->text, "");
    EXPECT_THAT(whole->raw_response, HasSubstr(R"("id":"chatcmpl-00ff_1")"));
    EXPECT_THAT(whole->raw_response, HasSubstr(R"("index":2)"));
    EXPECT_EQ(whole->usage.completion_tokens, 12u);
    EXPECT_EQ(whole->tokens, 12u);

    request.stream = true;
    const auto streamed = co_await Ask(engine, request);
    EXPECT_TRUE(streamed.has_value());
    if (!streamed) co_return;
    EXPECT_EQ(streamed->raw_response, "");
    EXPECT_THAT(streamed->raw_chunks.back(), HasSubstr(R"("finish_reason":"length")"));

    // Cancelled as a whole, also while some of its answers still wait for a slot.
    Request endless = Endless();
    endless.body.insert(1, R"("n":6,)");
    auto cancelled = engine.Submit(endless);
    EXPECT_TRUE(cancelled.has_value());
    (void)co_await (*cancelled)->Next();
    (*cancelled)->Cancel();
    const auto end = co_await Collect(**cancelled);
    EXPECT_EQ(end->finish_reason, FinishReason::kCancelled);
    EXPECT_EQ(engine.capacity().running, 0u);
    const auto after = co_await Ask(engine, Chat("hi"));
    EXPECT_TRUE(after.has_value());
  });
}

TEST_F(LlamaEngineTest, CancelDestroyAndDeadlineFreeTheSlot) {
  Run(WithModel(), [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto cancelled = engine.Submit(Endless());
    (void)co_await (*cancelled)->Next();
    EXPECT_EQ(engine.capacity().running, 1u);
    (*cancelled)->Cancel();
    auto end = co_await Collect(**cancelled);
    EXPECT_EQ(end->finish_reason, FinishReason::kCancelled);
    const auto again = co_await (*cancelled)->Next();
    EXPECT_EQ(ErrorOf(again).code(), Code::kFailedPrecondition) << "nothing to wait for";

    auto dropped = engine.Submit(Endless());
    (void)co_await (*dropped)->Next();
    dropped->reset();
    EXPECT_EQ(engine.capacity().running, 0u);

    Request late = Endless();
    late.deadline = runtime.clock().Steady() + 1ms;
    const auto too_late = co_await Ask(engine, late);
    EXPECT_EQ(ErrorOf(too_late).code(), Code::kDeadlineExceeded);

    const auto next =
        co_await Ask(engine, Chat("the slot is free"));  // it would wait for ever else
    EXPECT_TRUE(next.has_value());
  });
}

TEST_F(LlamaEngineTest, StopEndsRunningRequestsAndTheChild) {
  static pid_t pid;
  Run(WithModel(), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    const auto too_early = engine.Submit(Endless());
    EXPECT_EQ(ErrorOf(too_early).code(), Code::kFailedPrecondition);
    (void)co_await engine.Start();
    pid = engine.child_pid();
    auto running = engine.Submit(Endless());
    (void)co_await (*running)->Next();
    co_await engine.Stop();
    const auto end = co_await Collect(**running);
    EXPECT_EQ(end->finish_reason, FinishReason::kCancelled);
    EXPECT_FALSE(engine.Submit(Endless()).has_value());
  });
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(LlamaEngineTest, ThereIsALimitOfUnfinishedRequests) {
  LlamaOptions options = WithModel();
  options.requests_max = 2;
  Run(options, [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto first = engine.Submit(Endless());
    auto second = engine.Submit(Endless());
    const auto third = engine.Submit(Endless());
    EXPECT_EQ(ErrorOf(third).code(), Code::kResourceExhausted);
    EXPECT_GT(ErrorOf(third).retry_after(), 0ms);
    first->reset();
    EXPECT_TRUE(engine.Submit(Endless()).has_value());
  });
}

// --- Death and resurrection ---

TEST_F(LlamaEngineTest, AKilledChildCostsOnlyWhatItHad) {
  Run(WithModel(), [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto running = engine.Submit(Endless());
    auto waiting = engine.Submit(Endless());  // there is one slot
    (void)co_await (*running)->Next();
    const pid_t pid = engine.child_pid();
    ::kill(pid, SIGKILL);
    const auto aborted = co_await Collect(**running);
    EXPECT_EQ(ErrorOf(aborted).code(), Code::kAborted);
    EXPECT_THAT(ErrorOf(aborted).message(), HasSubstr("killed by signal 9"));
    const auto unavailable = co_await Collect(**waiting);
    EXPECT_EQ(ErrorOf(unavailable).code(), Code::kUnavailable);
    EXPECT_THAT(ErrorOf(unavailable).message(), HasSubstr("before it began"));
    const auto next = co_await Ask(engine, Chat("submitted while it restarts"));
    EXPECT_TRUE(next.has_value()) << ErrorOf(next).message();
    EXPECT_NE(engine.child_pid(), pid);
    EXPECT_TRUE(engine.capacity().ready);
  });
}

TEST_F(LlamaEngineTest, AChildThatHangsIsKilledAndReplaced) {
  LlamaOptions options = WithModel();
  options.hang_timeout = 100ms;
  Run(options, [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    auto running = engine.Submit(Endless());
    (void)co_await (*running)->Next();
    ::kill(engine.child_pid(), SIGSTOP);
    const auto aborted = co_await Collect(**running);
    EXPECT_EQ(ErrorOf(aborted).code(), Code::kAborted);
    EXPECT_THAT(ErrorOf(aborted).message(), HasSubstr("no sign of life"));
  });
}

TEST_F(LlamaEngineTest, AChildThatIsGoneForGoodFailsEverything) {
  static std::string model;
  LlamaOptions options = WithModel();
  model = options.model_path;
  Run(options, [](runtime::Runtime&, LlamaEngine& engine) -> Awaitable<void> {
    (void)co_await engine.Start();
    std::filesystem::resize_file(model, 100);
    ::kill(engine.child_pid(), SIGKILL);
    while (engine.capacity().ready) {
      auto told = co_await Ask(engine, Chat("is it gone?"));
      if (!told) break;
    }
    const auto waiting = co_await Ask(engine, Chat("waits for the restart"));
    EXPECT_EQ(ErrorOf(waiting).code(), Code::kInvalidArgument);
    EXPECT_THAT(ErrorOf(waiting).message(), HasSubstr("cannot be loaded"));
    EXPECT_FALSE(engine.Submit(Chat("too late")).has_value());
    EXPECT_FALSE(engine.capacity().ready);
  });
}

// --- Models and engines that do not work ---

TEST_F(LlamaEngineTest, WrongPathsAreSentences) {
  LlamaOptions options = options_;
  options.model_path = directory_ + "/none.gguf";
  EXPECT_EQ(ErrorOf(StartWith(options)).code(), Code::kNotFound);
  options.model_path = directory_;
  EXPECT_THAT(ErrorOf(StartWith(options)).message(), HasSubstr("is a directory"));
  options.model_path = WriteFile("text.gguf", "this is a text, not a model");
  EXPECT_THAT(ErrorOf(StartWith(options)).message(), HasSubstr("not a GGUF file"));
}

// The header is in order, so only llama.cpp can tell.
TEST_F(LlamaEngineTest, ACorruptModelIsASentence) {
  LlamaOptions options = WithModel();
  auto bytes = base::ReadFile(base::PosixFileSystem(), options.model_path);
  ASSERT_TRUE(bytes.has_value());
  const size_t at = bytes->find("glm4");
  ASSERT_NE(at, std::string::npos);
  bytes->replace(at, 4, "glm?");
  options.model_path = WriteFile("odd.gguf", *bytes);
  const auto started = StartWith(options);
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(ErrorOf(started).code(), Code::kInvalidArgument);
  EXPECT_THAT(ErrorOf(started).message(),
              AllOf(HasSubstr(options.model_path), HasSubstr("cannot be loaded")));
}

TEST_F(LlamaEngineTest, AnUnfinishedDownloadStartsNoChild) {
  LlamaOptions options = WithScript("echo once >>\"$0.log\"");
  std::filesystem::resize_file(options.model_path,
                               std::filesystem::file_size(options.model_path) - 1000);
  const auto started = StartWith(options);
  EXPECT_EQ(ErrorOf(started).code(), Code::kInvalidArgument);
  EXPECT_THAT(ErrorOf(started).message(), HasSubstr("1000 bytes short"));
  EXPECT_FALSE(std::filesystem::exists(options.engine_binary + ".log"));
}

TEST_F(LlamaEngineTest, AChildThatAbortsWhileLoadingIsTriedThreeTimes) {
  LlamaOptions options =
      WithScript("echo once >>\"$0.log\"; echo 'GGML_ASSERT(n > 0) failed' >&2; kill -ABRT $$");
  const auto started = StartWith(options);
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(ErrorOf(started).code(), Code::kInvalidArgument);
  EXPECT_THAT(
      ErrorOf(started).message(),
      AllOf(HasSubstr(options.model_path), HasSubstr("signal 6"), HasSubstr("GGML_ASSERT(n > 0)")));
  auto log = base::ReadFile(base::PosixFileSystem(), options.engine_binary + ".log");
  EXPECT_EQ(*log, "once\nonce\nonce\n");
}

TEST_F(LlamaEngineTest, AMissingEngineBinaryIsASentence) {
  LlamaOptions options = WithModel();
  options.engine_binary = directory_ + "/inferq-engine";
  const auto started = StartWith(options);
  EXPECT_EQ(ErrorOf(started).code(), Code::kNotFound);
  EXPECT_THAT(ErrorOf(started).message(), HasSubstr("runs no local models"));
}

TEST_F(LlamaEngineTest, AnEngineThatTalksNonsenseIsStopped) {
  LlamaOptions options = WithScript("printf 'nonsense of at least a frame' >&3; read forever <&3");
  options.load_failures_max = 1;
  EXPECT_THAT(ErrorOf(StartWith(options)).message(), HasSubstr("engine protocol"));
}

TEST_F(LlamaEngineTest, AnEngineOfAnotherReleaseIsRefused) {
  // Hello with version 77: length 3, message 0, field 1 (number) = 77
  LlamaOptions options =
      WithScript(R"(printf '\003\000\000\000\000\004\115' >&3; read forever <&3)");
  const auto started = StartWith(options);
  EXPECT_THAT(ErrorOf(started).message(), HasSubstr("speaks protocol 77"));
}

TEST_F(LlamaEngineTest, LoadingForEverEndsAtTheTimeout) {
  LlamaOptions options = WithScript("read forever <&3");
  options.load_timeout = 20ms;
  options.load_failures_max = 2;
  EXPECT_THAT(ErrorOf(StartWith(options)).message(), HasSubstr("no sign of life"));
}

TEST_F(LlamaEngineTest, StopWhileLoadingEndsStart) {
  static Result<> outcome;
  Run(WithScript("read forever <&3"),
      [](runtime::Runtime& runtime, LlamaEngine& engine) -> Awaitable<void> {
        runtime::Scope scope(runtime);
        auto start = [](LlamaEngine& e) -> Awaitable<void> { outcome = co_await e.Start(); };
        scope.Spawn(start(engine));
        while (engine.child_pid() == 0) co_await runtime.SleepFor(1ms);
        co_await engine.Stop();
        co_await scope.Join();
      });
  EXPECT_EQ(ErrorOf(outcome).code(), Code::kCancelled);
}

// --- The child alone ---

Awaitable<void> HelloThenHangUp(runtime::AsioRuntime& runtime, std::string binary,
                                std::string model, std::optional<runtime::ExitStatus>& status) {
  auto socket = runtime::MakeLocalSocketPair(runtime);
  runtime::Command command{
      .path = std::move(binary), .arguments = {"--model", model, "--fd", "3"}, .descriptors = {}};
  command.descriptors.emplace_back(std::move(socket->theirs), 3);
  auto child = runtime::ChildProcess::Spawn(runtime, std::move(command));
  std::string buffer(1000, '\0');
  (void)co_await socket->ours->Read(buffer);
  socket->ours->Close();  // as when the server is gone
  status = co_await (*child)->Wait(base::SteadyTime::max());
  runtime.Stop();
}

TEST_F(LlamaEngineTest, TheChildEndsWhenTheServerIsGone) {
  const auto binary =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "inferq-engine";
  std::optional<runtime::ExitStatus> status;
  runtime_.SpawnDetached(HelloThenHangUp(runtime_, binary, WithModel().model_path, status));
  runtime_.Run();
  EXPECT_EQ(status->ToString(), "exited with code 0");
}

}  // namespace
}  // namespace inferq::engine::llama
