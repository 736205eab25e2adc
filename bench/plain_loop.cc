// inferq-bench-plain-loop: generation with bare libllama, the yardstick for the engine. One batch
// per step holds the next token of every sequence; greedy; every sequence generates exactly
// --output-tokens. Prints one JSON object.

#include <llama.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>

#include "base/clock.h"
#include "base/rng.h"
#include "gguf/llama_backends.h"

namespace {

using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using Context = std::unique_ptr<llama_context, decltype(&llama_free)>;

struct Options {
  std::string model;
  uint32_t sequences = 1;  ///< Run at once, [1, 256].
  uint32_t rounds = 1;     ///< Times that all sequences run, one after the other.
  uint32_t prompt_tokens = 32;
  uint32_t output_tokens = 64;
  uint32_t batch = 512;  ///< Prompt tokens per decode call; at least `sequences`.
  int32_t threads = 2;
  bool kv_unified = false;
  uint64_t seed = 1;  ///< Of the prompts.
};

/// Time and tokens of one phase.
struct Phase {
  uint64_t tokens = 0;
  std::chrono::duration<double> time{0};
  double Rate() const { return time.count() > 0 ? static_cast<double>(tokens) / time.count() : 0; }
};

/// A llama_batch that is filled token by token.
class Batch {
 public:
  explicit Batch(uint32_t capacity)
      : batch_(llama_batch_init(static_cast<int32_t>(capacity), 0, 1)) {}
  ~Batch() { llama_batch_free(batch_); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void Clear() { batch_.n_tokens = 0; }
  uint32_t size() const { return static_cast<uint32_t>(batch_.n_tokens); }
  /// Returns the token's index in the batch.
  int32_t Add(llama_token token, uint32_t position, uint32_t sequence, bool wants_logits) {
    int32_t i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = static_cast<llama_pos>(position);
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = static_cast<llama_seq_id>(sequence);
    batch_.logits[i] = wants_logits ? 1 : 0;
    return i;
  }
  const llama_batch& get() const { return batch_; }

 private:
  llama_batch batch_;
};

[[noreturn]] void Stop(const std::string& why) {
  fmt::print(stderr, "inferq-bench-plain-loop: {}\n", why);
  std::exit(1);
}

class PlainLoop {
 public:
  PlainLoop(const Options& options, llama_model& model)
      : options_(options),
        context_(MakeContext(options, model)),
        n_vocab_(llama_vocab_n_tokens(llama_model_get_vocab(&model))),
        batch_(std::max(options.batch, options.sequences)),
        next_(options.sequences) {}

  /// All sequences from empty to their last token.
  void RunRound(Phase& prefill, Phase& decode) {
    llama_memory_clear(llama_get_memory(context_.get()), true);
    Time(prefill, [&] { return Prefill(); });
    Time(decode, [&] { return Decode(); });
  }

 private:
  static llama_context* NewContext(const Options& options, llama_model& model) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = options.sequences * (options.prompt_tokens + options.output_tokens);
    params.n_batch = params.n_ubatch = std::max(options.batch, options.sequences);
    params.n_seq_max = options.sequences;
    params.n_threads = params.n_threads_batch = options.threads;
    params.kv_unified = options.kv_unified;
    return llama_init_from_model(&model, params);
  }

  static Context MakeContext(const Options& options, llama_model& model) {
    Context context(NewContext(options, model), &llama_free);
    if (!context)
      Stop(fmt::format(
          "no context for {} sequences of {} tokens: too large for this model or memory",
          options.sequences, options.prompt_tokens + options.output_tokens));
    return context;
  }

  template <class Work>
  static void Time(Phase& phase, Work work) {
    auto start = inferq::base::SystemClock().Steady();
    phase.tokens += work();
    phase.time += inferq::base::SystemClock().Steady() - start;
  }

  uint64_t Prefill() {
    inferq::base::Rng rng(options_.seed);
    for (uint32_t sequence = 0; sequence < options_.sequences; ++sequence)
      for (uint32_t position = 0; position < options_.prompt_tokens; ++position) {
        bool last = position + 1 == options_.prompt_tokens;
        auto token =
            static_cast<llama_token>(rng.Below(256));  // plain bytes in every byte-level vocabulary
        int32_t index = batch_.Add(token, position, sequence, last);
        if (last) waiting_.push_back({sequence, index});
        if (batch_.size() == std::max(options_.batch, options_.sequences)) Step();
      }
    Step();
    return uint64_t{options_.sequences} * options_.prompt_tokens;
  }

  // The prefill has given the first token already; the last one is not fed back.
  uint64_t Decode() {
    for (uint32_t i = 1; i < options_.output_tokens; ++i) {
      for (uint32_t sequence = 0; sequence < options_.sequences; ++sequence) {
        uint32_t position = options_.prompt_tokens + i - 1;
        waiting_.push_back({sequence, batch_.Add(next_[sequence], position, sequence, true)});
      }
      Step();
    }
    return uint64_t{options_.sequences} * (options_.output_tokens - 1);
  }

  /// Runs the batch and picks the next token of every sequence whose logits it gives.
  void Step() {
    if (batch_.size() == 0) return;
    if (int status = llama_decode(context_.get(), batch_.get()); status != 0)
      Stop(fmt::format("llama_decode of {} tokens returned {}", batch_.size(), status));
    for (auto [sequence, index] : waiting_) {
      std::span logits(llama_get_logits_ith(context_.get(), index), static_cast<size_t>(n_vocab_));
      next_[sequence] = static_cast<llama_token>(std::ranges::max_element(logits) - logits.begin());
    }
    waiting_.clear();
    batch_.Clear();
  }

  struct Wanted {
    uint32_t sequence;
    int32_t index;  ///< In the batch.
  };

  const Options& options_;
  Context context_;
  int32_t n_vocab_;
  Batch batch_;
  std::vector<llama_token> next_;  ///< Per sequence.
  std::vector<Wanted> waiting_;
};

void AddOptions(CLI::App& app, Options& o) {
  auto at_least_one = CLI::Range(1, 1 << 20);
  app.add_option("--model", o.model, "GGUF file")->required()->check(CLI::ExistingFile);
  app.add_option("--sequences", o.sequences, "Sequences at once")->check(CLI::Range(1, 256));
  app.add_option("--rounds", o.rounds, "Times that all sequences run")->check(at_least_one);
  app.add_option("--prompt-tokens", o.prompt_tokens, "Tokens per prompt")->check(at_least_one);
  app.add_option("--output-tokens", o.output_tokens, "Tokens per answer")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--batch", o.batch, "Prompt tokens per call")->check(at_least_one);
  app.add_option("--threads", o.threads, "Threads")->check(CLI::Range(1, 1024));
  app.add_flag("--kv-unified", o.kv_unified, "One KV buffer for all sequences");
  app.add_option("--seed", o.seed, "Of the prompts");
  for (CLI::Option* option : app.get_options()) option->capture_default_str();
}

void Print(const Options& o, const Phase& prefill, const Phase& decode) {
  double seconds = prefill.time.count() + decode.time.count();
  uint64_t output = uint64_t{o.rounds} * o.sequences * o.output_tokens;
  fmt::print(R"({{"sequences":{},"rounds":{},"prompt_tokens":{},"output_tokens":{},)"
             R"("threads":{},"kv_unified":{},"seconds":{:.6f},"tokens_per_s":{:.3f},)"
             R"("prefill_tokens_per_s":{:.3f},"decode_tokens_per_s":{:.3f}}})"
             "\n",
             o.sequences, o.rounds, o.prompt_tokens, o.output_tokens, o.threads, o.kv_unified,
             seconds, static_cast<double>(output) / seconds, prefill.Rate(), decode.Rate());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Generation with bare libllama, the yardstick for the engine. Prints one JSON object.");
  Options options;
  AddOptions(app, options);
  CLI11_PARSE(app, argc, argv);

  inferq::gguf::InitLlama();
  Model model(llama_model_load_from_file(options.model.c_str(), llama_model_default_params()),
              &llama_model_free);
  if (!model) Stop(fmt::format("{} is not a model that libllama can load", options.model));

  PlainLoop loop(options, *model);
  Phase warm_up, prefill, decode;
  loop.RunRound(warm_up, warm_up);  // touches the weights and builds the graphs once
  for (uint32_t i = 0; i < options.rounds; ++i) loop.RunRound(prefill, decode);
  Print(options, prefill, decode);
  return 0;
}
