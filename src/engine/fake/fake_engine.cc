#include "engine/fake/fake_engine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "wire/chat.h"
#include "wire/embedding.h"
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

namespace {

constexpr uint32_t kFakeDimensions = 64;

// A direction that the seed and the text alone decide, of length 1.
std::vector<float> FakeVector(uint64_t seed, const wire::EmbeddingInput& input,
                              uint32_t dimensions) {
  std::string text;
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&input)) {
    text = fmt::format("{}", fmt::join(*tokens, ","));
  } else {
    text = std::get<std::string>(input);
  }
  base::Rng rng(seed ^ wire::HashBytes(text).low);
  std::vector<double> values(dimensions);
  double squares = 0;
  for (double& value : values) {
    value = 2 * rng.Uniform() - 1;
    squares += value * value;
  }
  std::vector<float> vector;
  for (double value : values) vector.push_back(static_cast<float>(value / std::sqrt(squares)));
  return vector;
}

uint64_t InputTokens(const wire::EmbeddingRequest& request) {
  uint64_t tokens = 0;
  for (const auto& input : request.inputs) tokens += wire::EstimateInputTokens(input);
  return tokens;
}

}  // namespace

Delta FakeEngine::Embed(const Request& request) const {
  auto parsed = wire::ParseEmbeddingRequest(request.body);
  Delta answer;
  if (!parsed) return answer;  // Prepare has refused it
  std::vector<std::string> vectors;
  for (const wire::EmbeddingInput& input : parsed->inputs) {
    vectors.push_back(wire::EmbeddingJson(
        FakeVector(options_.seed, input, parsed->dimensions.value_or(kFakeDimensions)),
        parsed->format));
  }
  answer.usage.prompt_tokens = InputTokens(*parsed);
  answer.raw_response = wire::EmbeddingBody(request.model, vectors, answer.usage.prompt_tokens);
  answer.finish_reason = FinishReason::kStop;
  return answer;
}

FakeEngine::Plan FakeEngine::MakePlan(const Request& request) const {
  if (request.endpoint == Endpoint::kEmbeddings) return {};
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

Result<> FakeEngine::PrepareEmbedding(const Request& request) const {
  INFERQ_ASSIGN(auto parsed, wire::ParseEmbeddingRequest(request.body));
  auto refused = [](std::string message, std::string field) {
    return std::unexpected(
        Error(Code::kInvalidArgument, std::move(message)).WithParam(std::move(field)));
  };
  if (parsed.dimensions > kFakeDimensions) {
    return refused(fmt::format("'body.dimensions' is {}; the model has {}", *parsed.dimensions,
                               kFakeDimensions),
                   "body.dimensions");
  }
  if (options_.context_tokens == 0) return {};
  for (size_t i = 0; i < parsed.inputs.size(); ++i) {
    uint64_t tokens = wire::EstimateInputTokens(parsed.inputs[i]);
    if (tokens <= options_.context_tokens) continue;
    return refused(fmt::format("the input has about {} tokens; the context holds {}", tokens,
                               options_.context_tokens),
                   fmt::format("body.input[{}]", i));
  }
  return {};
}

Result<> FakeEngine::Prepare(Request& request) {
  if (request.endpoint == Endpoint::kEmbeddings) return PrepareEmbedding(request);
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
  if (job->request().endpoint == Endpoint::kEmbeddings) {
    co_return job->Finish(Embed(job->request()));
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
