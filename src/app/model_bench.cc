#include "app/model_bench.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "app/exit_code.h"
#include "app/progress.h"
#include "app/table.h"
#include "base/rng.h"
#include "engine/llama/llama_engine.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"
#include "runtime/signals.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using base::Result;
using base::SteadyTime;
using engine::Generation;
using runtime::Awaitable;

using Seconds = std::chrono::duration<double>;

constexpr uint32_t kUsualPrompt = 256;  // tokens
constexpr uint32_t kLeastPrompt = 16;
constexpr uint32_t kProbePrompt = 32;
constexpr uint32_t kShortPrompt = 2;    // in front of measured answers
constexpr uint32_t kContextSlack = 16;  // what a tokenizer may add
constexpr double kPromptShare = 0.4;    // of a level's time,
constexpr double kProbeSeconds = 600;
constexpr base::Micros kSameStep = std::chrono::milliseconds(5);
constexpr double kPromptShareMax = 0.7;  // where nothing ended by then

// What the requests of one measurement have in common.
struct Window {
  uint32_t clients = 0;
  uint32_t prompt_tokens = 0;
  uint32_t output_tokens = 0;

  SteadyTime begin{};
  SteadyTime enough{};  // then one prompt will do
  runtime::Runtime::TimerId enough_timer = 0;
  SteadyTime end{};
  uint64_t prompts = 0;  // tokens of prompts that were read
  SteadyTime last_prompt{};
  uint32_t under_way = 0;    // clients that had a token
  SteadyTime all_at_work{};  // since when all had
  uint64_t generated = 0;    // tokens, since then or since the beginning
  std::optional<SteadyTime> first_token{};
};

std::optional<double> PromptRate(const Window& window) {
  const double seconds = Seconds(window.last_prompt - window.begin).count();
  if (window.prompts == 0 || seconds <= 0) return std::nullopt;
  return static_cast<double>(window.prompts) / seconds;
}

// Without the time in which only some were at work, unless that was all there was.
std::optional<double> GenerationRate(const Window& window) {
  const bool all = window.under_way == window.clients;
  const double seconds = Seconds(window.end - (all ? window.all_at_work : window.begin)).count();
  if (window.generated == 0 || seconds <= 0) return std::nullopt;
  return static_cast<double>(window.generated) / seconds;
}

// Loads the model, then takes one concurrency after the other, on the calling thread.
class ModelBench {
 public:
  ModelBench(runtime::AsioRuntime& runtime, const ModelBenchOptions& options)
      : runtime_(runtime), options_(options), engine_(runtime, EngineOptions(options)), rng_(1) {}

  int Execute() {
    runtime::SignalWatcher signals(runtime_, {SIGINT, SIGTERM}, [this](int) { OnSignal(); });
    runtime_.SpawnDetached(Run());
    runtime_.Run();
    return exit_code_;
  }

 private:
  static engine::llama::LlamaOptions EngineOptions(const ModelBenchOptions& options) {
    engine::llama::LlamaOptions engine;
    engine.model_path = options.model;
    engine.adapter_path = options.adapter;
    engine.adapter_scale = options.adapter_scale;
    engine.slots = std::ranges::max(options.concurrency);
    engine.context_tokens =
        std::max({options.prompt_tokens, kUsualPrompt, kShortPrompt + options.output_tokens}) +
        kContextSlack;
    engine.threads = options.threads;
    return engine;
  }

  SteadyTime Now() const { return runtime_.clock().Steady(); }
  static void Say(const std::string& text) { fmt::print(stderr, "inferq model bench: {}\n", text); }

  void OnSignal() {
    if (result_.interrupted) std::_Exit(kInterrupted);
    result_.interrupted = true;
    EndWindow();
    if (!loaded_) runtime_.SpawnDetached(StopEngine());
  }
  Awaitable<void> StopEngine() { co_await engine_.Stop(); }

  void EndWindow() {
    if (window_ && !over_) window_->end = Now();
    over_ = true;
    const auto running = running_;
    for (Generation* generation : running) generation->Cancel();
  }

  void Fail(const base::Error& error) {
    if (!failure_ && !over_) failure_ = error;
    EndWindow();
  }

  // Plain control characters are one token each in nearly every vocabulary; prompts of random ones
  // share next to nothing.
  engine::Request MakeRequest(const Window& window) {
    std::string prompt;
    for (uint32_t i = 0; i < window.prompt_tokens; ++i)
      prompt += fmt::format("\\u{:04x}", 1 + rng_.Below(8));
    engine::Request request;
    request.endpoint = engine::Endpoint::kCompletions;
    request.body =
        fmt::format(R"({{"prompt":"{}","max_tokens":{},"temperature":0,"ignore_eos":true}})",
                    prompt, window.output_tokens);
    return request;
  }

  // Requests one after the other until the window is over, or just one.
  Awaitable<void> Client(Window& window, bool once) {
    bool had_a_token = false;
    while (!over_) {
      auto generation = engine_.Submit(MakeRequest(window));
      if (!generation) {
        Fail(generation.error());
        co_return;
      }
      running_.insert(generation->get());
      co_await ReadAnswer(window, **generation, had_a_token);
      running_.erase(generation->get());
      if (once) EndWindow();
    }
  }

  Awaitable<void> ReadAnswer(Window& window, Generation& generation, bool& had_a_token) {
    for (;;) {
      auto delta = co_await generation.Next();
      if (!delta) {
        Fail(delta.error());
        co_return;
      }
      if (!over_) Count(window, *delta, had_a_token);
      if (delta->finish_reason) co_return;
    }
  }

  void Count(Window& window, const engine::Delta& delta, bool& had_a_token) {
    window.generated += delta.tokens;
    if (delta.tokens > 0 && !window.first_token) window.first_token = Now();
    if (delta.tokens > 0 && !std::exchange(had_a_token, true) &&
        ++window.under_way == window.clients) {
      window.all_at_work = Now();
      window.generated = 0;
    }
    if (!delta.finish_reason) return;
    window.prompts += delta.usage.prompt_tokens - delta.usage.cached_tokens;
    window.last_prompt = Now();
    if (Now() < window.enough || window.enough_timer != 0) return;
    // Not at once: others may have ended in the same step.
    window.enough_timer = runtime_.CallAt(Now() + kSameStep, [this] { EndWindow(); });
  }

  // Keeps `clients` requests under way for `seconds`, up to `longest` while none has ended; or one
  // request, which may take so long.
  Awaitable<Window> Measure(uint32_t clients, uint32_t prompt_tokens, uint32_t output_tokens,
                            double seconds, double longest, bool once = false) {
    Window window{
        .clients = clients, .prompt_tokens = prompt_tokens, .output_tokens = output_tokens};
    window.begin = window.end = Now();
    over_ = result_.interrupted || failure_;
    window_ = &window;
    const auto after = [&window](double s) {
      return window.begin + std::chrono::duration_cast<base::Micros>(Seconds(std::max(0.1, s)));
    };
    window.enough = after(seconds);
    const auto timer = runtime_.CallAt(window.enough, [this, &window] {
      if (window.prompts > 0) EndWindow();
    });
    const auto last = runtime_.CallAt(after(std::max(seconds, longest)), [this] { EndWindow(); });
    runtime::Scope scope(runtime_);
    for (uint32_t i = 0; i < clients; ++i) scope.Spawn(Client(window, once));
    co_await scope.Join();
    runtime_.CancelTimer(timer);
    if (window.enough_timer != 0) runtime_.CancelTimer(window.enough_timer);
    runtime_.CancelTimer(last);
    window_ = nullptr;
    co_return window;
  }

  Awaitable<ModelBenchLevel> MeasureLevel(uint32_t concurrency, double seconds) {
    ModelBenchLevel level{.concurrency = concurrency};
    const SteadyTime begin = Now();
    if (concurrency == 1) {
      const Window alone =
          co_await Measure(1, result_.prompt_tokens, 1, options_.seconds, options_.seconds, true);
      if (alone.first_token)
        level.first_token_ms = Seconds(*alone.first_token - alone.begin).count() * 1e3;
      level.prompt_tokens_per_s = PromptRate(alone);
    }
    const double used = Seconds(Now() - begin).count();
    const Window prompts =
        co_await Measure(concurrency, result_.prompt_tokens, 1, seconds * kPromptShare - used,
                         seconds * kPromptShareMax - used);
    if (const auto rate = PromptRate(prompts)) level.prompt_tokens_per_s = rate;
    const double rest = seconds - Seconds(Now() - begin).count();
    const Window answers =
        co_await Measure(concurrency, kShortPrompt, options_.output_tokens, rest, 0);
    level.generated_tokens_per_s = GenerationRate(answers);
    co_return level;
  }

  double LevelSeconds() const {
    return options_.seconds / static_cast<double>(options_.concurrency.size());
  }

  // So long that two prompts fit into the time for prompts.
  uint32_t PromptLength(std::optional<double> rate) const {
    if (options_.prompt_tokens != 0) return options_.prompt_tokens;
    const double fit = rate.value_or(0) * LevelSeconds() * kPromptShare / 2;
    return static_cast<uint32_t>(std::clamp<double>(fit, kLeastPrompt, kUsualPrompt));
  }

  Awaitable<Result<>> Load() {
    Say("loading " + options_.model);
    const SteadyTime begin = Now();
    INFERQ_CO_TRY(co_await engine_.Start());
    loaded_ = true;
    // Reads the weights once, else the first measurement would measure the disk.
    co_await Measure(1, kShortPrompt, 1, kProbeSeconds, kProbeSeconds, true);
    const Window probe = co_await Measure(1, kProbePrompt, 1, kProbeSeconds, kProbeSeconds, true);
    result_.prompt_tokens = PromptLength(PromptRate(probe));
    if (failure_) co_return std::unexpected(*failure_);
    const auto chosen = engine_.effective_options();
    result_.model = engine_.Describe();
    result_.threads = chosen.threads;
    result_.context_tokens = chosen.context_tokens;
    result_.load_seconds = Seconds(Now() - begin).count();
    co_return Result<>();
  }

  Awaitable<void> MeasureAll() {
    const double share = LevelSeconds();
    for (const uint32_t concurrency : options_.concurrency) {
      if (result_.interrupted || failure_) break;
      Say(fmt::format("{} at once, {:.1f} s", concurrency, share));
      auto level = co_await MeasureLevel(concurrency, share);
      result_.levels.push_back(level);
    }
  }

  Awaitable<void> Run() {
    auto loaded = co_await Load();
    if (!loaded && !result_.interrupted) failure_ = loaded.error();
    if (loaded) co_await MeasureAll();
    co_await engine_.Stop();
    exit_code_ = Report();
    runtime_.Stop();
  }

  int Report() const {
    if (failure_) {
      Say(failure_->message());
      return kEngineUnusable;
    }
    const std::string text =
        options_.json ? ModelBenchJson(options_, result_) + "\n" : ModelBenchText(result_);
    const bool worth_it = options_.json || !result_.levels.empty();
    if (worth_it && std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      return kStorageFailed;
    if (std::fflush(stdout) != 0) return kStorageFailed;
    return result_.interrupted ? kInterrupted : kOk;
  }

  runtime::AsioRuntime& runtime_;
  const ModelBenchOptions& options_;
  engine::llama::LlamaEngine engine_;
  base::Rng rng_;
  std::set<Generation*> running_;
  Window* window_ = nullptr;  // the present one
  bool over_ = false;         // it is
  bool loaded_ = false;
  std::optional<base::Error> failure_;
  ModelBenchResult result_;
  int exit_code_ = kEngineUnusable;
};

std::string Rate(std::optional<double> rate) { return rate ? fmt::format("{:.1f}", *rate) : "-"; }

std::string JsonRate(std::optional<double> rate) {
  return rate ? fmt::format("{:.3f}", *rate) : "null";
}

std::optional<double> OfEach(const ModelBenchLevel& level) {
  if (!level.generated_tokens_per_s) return std::nullopt;
  return *level.generated_tokens_per_s / level.concurrency;
}

std::optional<double> FirstToken(const ModelBenchResult& result) {
  for (const ModelBenchLevel& level : result.levels) {
    if (level.first_token_ms) return level.first_token_ms;
  }
  return std::nullopt;
}

}  // namespace

std::string ModelBenchText(const ModelBenchResult& result) {
  std::string text = fmt::format("{}: {} threads, loaded in {}\n", Printable(result.model),
                                 result.threads, Duration(result.load_seconds));
  if (const auto first = FirstToken(result))
    text += fmt::format("first token of a prompt of {} tokens, alone: {:.0f} ms\n",
                        result.prompt_tokens, *first);
  Table table({"AT ONCE", "PROMPT TOKENS/S", "GENERATED TOKENS/S", "OF EACH"});
  bool gaps = false;
  for (const ModelBenchLevel& level : result.levels) {
    table.AddRow({std::to_string(level.concurrency), Rate(level.prompt_tokens_per_s),
                  Rate(level.generated_tokens_per_s), Rate(OfEach(level))});
    gaps = gaps || !level.prompt_tokens_per_s || !level.generated_tokens_per_s;
  }
  text += "\n" + table.Text();
  if (result.interrupted) text += "interrupted: the last line is of less time than the others\n";
  if (gaps) text += "-: nothing ended in its time; give more --seconds\n";
  return text;
}

std::string ModelBenchJson(const ModelBenchOptions& options, const ModelBenchResult& result) {
  std::string levels;
  for (const ModelBenchLevel& level : result.levels) {
    levels += fmt::format(
        R"({}{{"concurrency":{},"prompt_tokens_per_s":{},"generated_tokens_per_s":{},"generated_tokens_per_s_each":{}}})",
        levels.empty() ? "" : ",", level.concurrency, JsonRate(level.prompt_tokens_per_s),
        JsonRate(level.generated_tokens_per_s), JsonRate(OfEach(level)));
  }
  return fmt::format(
      R"({{"path":{},"model":{},"threads":{},"context_tokens":{},"load_seconds":{:.3f},"seconds":{},)"
      R"("prompt_tokens":{},"output_tokens":{},"first_token_ms":{},"levels":[{}],"interrupted":{}}})",
      wire::JsonString(options.model), wire::JsonString(result.model), result.threads,
      result.context_tokens, result.load_seconds, wire::JsonNumber(options.seconds),
      result.prompt_tokens, options.output_tokens, JsonRate(FirstToken(result)), levels,
      result.interrupted);
}

void AddModelBenchOptions(CLI::App& command, ModelBenchOptions& options) {
  command.add_option("FILE", options.model, "GGUF file; of a split model the first part")
      ->required();
  command
      .add_option("--concurrency", options.concurrency,
                  "Requests at once, one measurement for each: 1,4,16,64")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "How long to measure, all together")
      ->check(CLI::Range(0.5, 86'400.0))
      ->capture_default_str();
  command
      .add_option(
          "--prompt-tokens", options.prompt_tokens,
          "Length of the prompts that are timed (default: 256, fewer where that takes long)")
      ->check(CLI::Range(1u, 1u << 20));
  command.add_option("--output-tokens", options.output_tokens, "Length of the answers")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "Threads (default: the machine's cores)")
      ->check(CLI::Range(1u, 1024u));
  auto* adapter = command.add_option("--adapter", options.adapter, "LoRA adapter of the model");
  command.add_option("--adapter-scale", options.adapter_scale, "How much of it (default 1)")
      ->needs(adapter)
      ->check(CLI::Range(-100.0, 100.0));
  command.add_flag("--json", options.json, "Print one JSON object");
}

int RunModelBench(const ModelBenchOptions& options) {
  runtime::AsioRuntime runtime;
  return ModelBench(runtime, options).Execute();
}

}  // namespace inferq::app
