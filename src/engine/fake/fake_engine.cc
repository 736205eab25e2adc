#include "engine/fake/fake_engine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "wire/chat.h"
#include "wire/json.h"
#include "wire/locality.h"

namespace inferq::engine {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

namespace {

// Tokens that come closer together than this are emitted together; a reader would not tell them
// apart.
constexpr base::Micros kShortestStep{20'000};

constexpr std::array<std::string_view, 24> kWords{
    "the",  "queue", "keeps",  "every",  "task",  "until",  "it",      "is",
    "done", "and",   "a",      "worker", "reads", "before", "it",      "writes",
    "时间", "任务",  "slowly", "but",    "then",  "again",  "nothing", "lost"};

}  // namespace

/// What an answer will be.
struct FakeEngine::Plan {
  uint64_t prompt_tokens = 0;
  uint64_t tokens = 0;
  FinishReason finish = FinishReason::kStop;
  base::Rng words{0};
};

FakeEngine::FakeEngine(runtime::Runtime& runtime, FakeOptions options)
    : SlottedEngine(runtime, options.slots, options.max_waiting),
      options_(options),
      dice_(options.seed) {}

FakeEngine::Plan FakeEngine::MakePlan(const Request& request) const {
  auto body = wire::ParseJson(request.body);
  auto parsed = wire::ParseGenerateRequest(request.body, request.endpoint);
  Plan plan;
  plan.words = base::Rng(options_.seed ^ wire::HashBytes(request.body).low);
  plan.prompt_tokens = body ? std::max<uint64_t>(1, wire::EstimatePromptTokens(*body)) : 1;
  plan.tokens = options_.tokens != 0 ? options_.tokens : 8 + plan.words.Below(57);
  uint64_t most = parsed ? parsed->max_tokens.value_or(UINT64_MAX) : UINT64_MAX;
  if (parsed && parsed->ignore_eos && most != UINT64_MAX) plan.tokens = most;
  if (options_.context_tokens != 0)
    most = std::min(most, options_.context_tokens - plan.prompt_tokens);
  if (plan.tokens >= most) plan.finish = FinishReason::kLength;
  plan.tokens = std::min(plan.tokens, most);
  return plan;
}

Result<> FakeEngine::Prepare(Request& request) {
  INFERQ_TRY(wire::ParseGenerateRequest(request.body, request.endpoint));
  if (options_.context_tokens == 0) return {};
  INFERQ_ASSIGN(auto body, wire::ParseJson(request.body));
  uint64_t prompt = wire::EstimatePromptTokens(body);
  if (prompt < options_.context_tokens) return {};
  std::string_view field =
      request.endpoint == Endpoint::kCompletions ? "body.prompt" : "body.messages";
  return std::unexpected(Error(Code::kInvalidArgument,
                               fmt::format("the prompt has about {} tokens; the context holds {}",
                                           prompt, options_.context_tokens))
                             .WithParam(std::string(field)));
}

std::optional<FakeEngine::Fault> FakeEngine::DrawFault(const Request& request, const Plan& plan) {
  if (fault_hook_) {
    if (auto fault = fault_hook_(request)) return fault;
  }
  bool fails = dice_.Chance(options_.fail_rate);
  bool crashes = dice_.Chance(options_.crash_rate);
  if (fails)
    return Fault{0, Error(Code::kUnavailable, "the fake engine failed, as its fail rate wants")};
  if (!crashes) return std::nullopt;
  return Fault{plan.tokens / 2,
               Error(Code::kAborted, "the fake engine crashed, as its crash rate wants")};
}

Awaitable<void> FakeEngine::RunJob(std::shared_ptr<Job> job) {
  Plan plan = MakePlan(job->request());
  std::optional<Fault> fault = DrawFault(job->request(), plan);
  uint64_t stop_at = fault ? std::min(fault->after_tokens, plan.tokens) : plan.tokens;
  double stretch = 1 + options_.ttft_jitter * dice_.Uniform();
  base::Micros first(std::llround(static_cast<double>(options_.ttft.count()) * stretch));
  uint64_t per_step = plan.tokens;
  if (options_.itl.count() > 0) {
    per_step = std::max<uint64_t>(1, static_cast<uint64_t>(kShortestStep / options_.itl));
  }
  base::SteadyTime at = runtime_.clock().Steady() + first;
  uint64_t done = 0;
  for (uint64_t step = 1; done < stop_at; step = per_step) {  // the first token comes alone
    step = std::min(step, stop_at - done);
    if (done > 0) at += options_.itl * static_cast<int64_t>(step);
    if (!co_await job->SleepUntil(at)) co_return;
    std::string text;
    for (uint64_t i = 0; i < step; ++i) {
      if (done + i > 0) text += ' ';
      text += kWords[plan.words.Below(kWords.size())];
    }
    job->Emit(text, step);
    done += step;
  }
  if (done == 0 && !co_await job->SleepUntil(at)) co_return;
  if (fault && fault->error) co_return job->Fail(*fault->error);
  if (fault) {  // hangs
    while (co_await job->SleepUntil(base::SteadyTime::max())) {
    }
    co_return;
  }
  Delta last;
  last.finish_reason = plan.finish;
  last.usage = {.prompt_tokens = plan.prompt_tokens, .completion_tokens = plan.tokens};
  job->Finish(std::move(last));
}

void FakeEngine::Crash(base::Micros restart) {
  ++restarts_;
  FailRunning(Error(Code::kAborted, "the fake engine crashed"));
  SpawnHelper(Restart(restart));
}

Awaitable<void> FakeEngine::Restart(base::Micros after) {
  runtime::Event stopped(runtime_);
  runtime::CancelHook hook(stop(), [&stopped] { stopped.NotifyAll(); });
  if (!stop()->cancelled()) co_await stopped.WaitUntil(runtime_.clock().Steady() + after);
  --restarts_;
  Pump();
}

void FakeEngine::SetAvailable(bool available) {
  available_ = available;
  Pump();
}

Result<std::unique_ptr<FakeEngine>> MakeFakeEngine(runtime::Runtime& runtime, FakeOptions options) {
  auto in_unit = [](double rate) { return rate >= 0 && rate <= 1; };
  if (!in_unit(options.fail_rate) || !in_unit(options.crash_rate)) {
    return Fail(Code::kInvalidArgument,
                "the fake engine's fail rate and crash rate lie between 0 and 1");
  }
  if (options.ttft.count() < 0 || options.itl.count() < 0 || !(options.ttft_jitter >= 0)) {
    return Fail(Code::kInvalidArgument, "the fake engine's times cannot be negative");
  }
  if (options.slots == 0)
    return Fail(Code::kInvalidArgument, "the fake engine needs at least one slot");
  return std::make_unique<FakeEngine>(runtime, options);
}

}  // namespace inferq::engine
