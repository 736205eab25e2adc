#include "engine/llama/model.h"

#include <dlfcn.h>
#include <log.h>

#include <algorithm>
#include <filesystem>

#include "base/mutex.h"
#include "engine/llama/machine.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr uint32_t kDefaultContext = kUsualContext;
constexpr uint32_t kDefaultBatch = 512;
constexpr uint32_t kDefaultEmbed = 2048;
constexpr size_t kKeptErrors = 4;
constexpr uint32_t kKeptMax = 32;  // beginnings of prompts; each costs a row of logits

// --- llama.cpp's log: warnings and errors to stderr, the last errors kept for messages ---

class ErrorLog {
 public:
  void Add(std::string_view line) {
    base::MutexLock lock(mu_);
    while (line.ends_with('\n')) line.remove_suffix(1);
    if (line.empty()) return;
    if (lines_.size() == kKeptErrors) lines_.erase(lines_.begin());
    lines_.emplace_back(line);
  }
  std::string Text() {
    base::MutexLock lock(mu_);
    return fmt::format("{}", fmt::join(lines_, "; "));
  }

 private:
  base::Mutex mu_;
  std::vector<std::string> lines_ GUARDED_BY(mu_);
};

ErrorLog& Errors() {
  static ErrorLog log;
  return log;
}

void OnLog(ggml_log_level level, const char* text, void*) {
  if (level != GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_ERROR) return;
  std::fputs(text, stderr);
  if (level == GGML_LOG_LEVEL_ERROR) Errors().Add(text);
}

// --- The model ---

// Upper estimate of a token's keys and values, in f16.
uint64_t KvBytesPerToken(const llama_model* model) {
  const auto heads = static_cast<uint64_t>(std::max(1, llama_model_n_head(model)));
  const auto width = static_cast<uint64_t>(llama_model_n_embd(model)) / heads *
                     static_cast<uint64_t>(std::max(1, llama_model_n_head_kv(model)));
  return static_cast<uint64_t>(llama_model_n_layer(model)) * width * 2 * sizeof(uint16_t);
}

uint32_t SlotsForMemory(const llama_model* model, uint64_t context_tokens) {
  return UsualSlots(AvailableMemory(), KvBytesPerToken(model), context_tokens);
}

std::string Describe(const llama_model* model) {
  std::string text(128, '\0');
  const int32_t length = llama_model_desc(model, text.data(), text.size());
  text.resize(std::min(text.size() - 1, static_cast<size_t>(std::max(0, length))));
  return text;
}

}  // namespace

void InitLlama() {
  llama_log_set(OnLog, nullptr);
  common_log_set_verbosity_thold(-1);
  Dl_info library{};
  if (dladdr(reinterpret_cast<void*>(&llama_backend_init), &library) != 0 && library.dli_fname) {
    const auto folder = std::filesystem::path(library.dli_fname).parent_path();
    ggml_backend_load_all_from_path(folder.c_str());
  }
  llama_backend_init();
}

Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::Load(ModelOptions options) {
  std::unique_ptr<Model> model(new Model());
  INFERQ_TRY(model->LoadWeights(options));
  INFERQ_TRY(model->LoadAdapter(options));  // a context makes room for the adapters that it finds
  model->ChooseSizes(options);
  INFERQ_TRY(model->UseCache(model->shares_cache_));
  model->template_ = ChatTemplate::Load(model->model_.get());
  model->facts_.has_chat_template = model->template_.has_value();
  model->longest_piece_ = model->LongestPiece();
  return model;
}

Result<> Model::LoadWeights(const ModelOptions& options) {
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = options.gpu_layers;
  model_.reset(llama_model_load_from_file(options.path.c_str(), params));
  if (!model_) {
    return Fail(Code::kInvalidArgument, "model {} cannot be loaded: {}", options.path,
                Errors().Text());
  }
  vocab_ = llama_model_get_vocab(model_.get());
  if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_NONE) {
    return Fail(Code::kInvalidArgument, "model {} has no tokenizer", options.path);
  }
  const bool decodes = llama_model_has_decoder(model_.get());
  const bool encodes = llama_model_has_encoder(model_.get());
  if (decodes == encodes || llama_model_is_diffusion(model_.get())) {
    return Fail(Code::kInvalidArgument,
                "model {} ({}) neither generates text token by token nor only embeds", options.path,
                Describe(model_.get()));
  }
  return {};
}

void Model::ChooseSizes(const ModelOptions& options) {
  const auto trained = static_cast<uint32_t>(std::max(1, llama_model_n_ctx_train(model_.get())));
  facts_.model = Describe(model_.get());
  facts_.parameters = llama_model_n_params(model_.get());
  facts_.vocabulary = static_cast<uint64_t>(llama_vocab_n_tokens(vocab_));
  facts_.context_tokens =
      options.context_tokens ? options.context_tokens : std::min(trained, kDefaultContext);
  facts_.slots =
      options.slots ? options.slots : SlotsForMemory(model_.get(), facts_.context_tokens);
  facts_.slots = std::min(facts_.slots, kMaxSlots);
  facts_.threads = options.threads ? options.threads : UsableCores();
  facts_.batch_tokens =
      std::max(facts_.slots, options.batch_tokens ? options.batch_tokens : kDefaultBatch);
  const uint64_t full = facts_.slots * facts_.context_tokens;
  kv_tokens_ = options.kv_tokens ? std::min(options.kv_tokens, full) : full;
  facts_.embed_tokens = options.embed_tokens
                            ? options.embed_tokens
                            : std::min<uint64_t>(facts_.context_tokens, kDefaultEmbed);
  // Only a shared cache can be smaller than what all might need; states that are not made of cells
  // cannot be shared in part.
  const bool has_states =
      llama_model_is_recurrent(model_.get()) || llama_model_is_hybrid(model_.get());
  const bool only_shared = kv_tokens_ < full;
  may_choose_cache_ = options.cache == CacheKind::kAuto && !only_shared && !has_states;
  shares_cache_ = !has_states && (only_shared || options.cache != CacheKind::kSeparate);
}

Result<> Model::UseCache(bool shared) {
  context_.reset();
  shares_cache_ = shared;
  only_embeds_ = !llama_model_has_decoder(model_.get());
  if (only_embeds_) return {};
  if (kv_tokens_ > UINT32_MAX / 2) {
    return Fail(Code::kInvalidArgument,
                "{} slots of {} tokens are too many: lower slots or context", facts_.slots,
                facts_.context_tokens);
  }
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(kv_tokens_);
  params.n_batch = facts_.batch_tokens;
  params.n_ubatch = facts_.batch_tokens;
  params.n_seq_max = cache_limits().sequences;
  params.n_outputs_max = params.n_seq_max;  // llama.cpp wants room for one of each
  params.n_threads = static_cast<int32_t>(facts_.threads);
  params.n_threads_batch = params.n_threads;
  params.kv_unified = shared;
  params.no_perf = true;
  context_.reset(llama_init_from_model(model_.get(), params));
  if (context_ && !llama_get_memory(context_.get())) {  // an encoder, such as BERT
    context_.reset();
    only_embeds_ = true;
    // Its positions are a table: behind its end there is nothing.
    const auto trained = static_cast<uint64_t>(std::max(1, llama_model_n_ctx_train(model_.get())));
    facts_.embed_tokens = std::min(facts_.embed_tokens, trained);
    return {};
  }
  if (context_) return UseAdapter(context_.get());
  return Fail(
      Code::kResourceExhausted,
      "model {}: no context of {} tokens for {} slots: {}. Lower slots or context, or give the "
      "machine more memory",
      facts_.model, kv_tokens_, facts_.slots, Errors().Text());
}

KvCache::Limits Model::cache_limits() const {
  return {.sequences = shares_cache_ ? std::min(facts_.slots + kKeptMax, kMaxSlots) : facts_.slots,
          .cells = kv_tokens_,
          .kept_cells = facts_.context_tokens / 2,
          .shares = shares_cache_};
}

Result<> Model::LoadAdapter(const ModelOptions& options) {
  if (options.adapter_path.empty()) return {};
  adapter_scale_ = options.adapter_scale;
  adapter_ = llama_adapter_lora_init(model_.get(), options.adapter_path.c_str());
  if (!adapter_) {
    return Fail(Code::kInvalidArgument, "adapter {} cannot be loaded for model {}: {}",
                options.adapter_path, options.path, Errors().Text());
  }
  if (llama_adapter_get_alora_n_invocation_tokens(adapter_) > 0) {
    return Fail(
        Code::kInvalidArgument,
        "adapter {} begins at certain tokens of the prompt (aLoRA), which is not known here",
        options.adapter_path);
  }
  return {};
}

Result<> Model::UseAdapter(llama_context* context) const {
  if (!adapter_) return {};
  llama_adapter_lora* adapter = adapter_;
  float scale = adapter_scale_;
  if (llama_set_adapters_lora(context, &adapter, 1, &scale) == 0) return {};
  return Fail(Code::kInvalidArgument, "the adapter cannot be used with model {}: {}", facts_.model,
              Errors().Text());
}

Result<std::vector<llama_token>> Model::Tokenize(const std::string& text) const {
  std::vector<llama_token> tokens(text.size() + 8);
  const auto size = [](size_t n) { return static_cast<int32_t>(n); };  // a frame is far below 2 GiB
  int32_t count = llama_tokenize(vocab_, text.data(), size(text.size()), tokens.data(),
                                 size(tokens.size()), true, true);
  if (count < 0 && count != INT32_MIN) {
    tokens.resize(static_cast<size_t>(-count));
    count = llama_tokenize(vocab_, text.data(), size(text.size()), tokens.data(),
                           size(tokens.size()), true, true);
  }
  if (count < 0) return Fail(Code::kInternal, "the tokenizer failed on {} bytes", text.size());
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

Result<std::string> Model::Render(const GenerateRequest& request, AnswerFormat& format) const {
  if (request.endpoint != Endpoint::kChatCompletions) return request.prompt;
  if (!template_) return std::unexpected(template_.error());
  return template_->Render(request, format);
}

Result<> Model::Constrain(const GenerateRequest& request, AnswerFormat& format) const {
  const auto refused = [](const base::Error& error, const char* param) {
    return std::unexpected(base::Error(error).WithParam(param));
  };
  for (const LogitBias& bias : request.sampling.logit_bias) {
    if (static_cast<uint64_t>(bias.token) < facts_.vocabulary) continue;
    const base::Error error(Code::kInvalidArgument,
                            fmt::format("logit_bias names token {}, but this model has only {}",
                                        bias.token, facts_.vocabulary));
    return refused(error, "body.logit_bias");
  }
  GrammarSource source{.gbnf = request.grammar};
  const char* param = "body.grammar";
  if (!request.json_schema.empty()) {
    param = "body.response_format.json_schema.schema";
    auto gbnf = GrammarOfSchema(request.json_schema);
    if (!gbnf) return refused(gbnf.error(), param);
    source.gbnf = *std::move(gbnf);
  }
  if (source.gbnf.empty()) return {};
  auto grammar = Grammar::Make(vocab_, source);
  if (!grammar) return refused(grammar.error(), param);
  format.grammar = *std::move(grammar);
  return {};
}

Result<Prompt> Model::Prepare(const GenerateRequest& request) const {
  const bool chat = request.endpoint == Endpoint::kChatCompletions;
  const char* param = chat ? "body.messages" : "body.prompt";
  auto format = std::make_shared<AnswerFormat>();
  INFERQ_ASSIGN(std::string text, Render(request, *format));
  INFERQ_TRY(Constrain(request, *format));
  const auto too_long = [&](std::string_view size) {
    base::Error error(
        Code::kInvalidArgument,
        fmt::format("the prompt has {} tokens, more than fit into this model's context of {} "
                    "with at least one token of output",
                    size, facts_.context_tokens));
    return std::unexpected(std::move(error).WithParam(param));
  };
  // A token stands for at most longest_piece_ bytes, so hopeless prompts need not be tokenised.
  const size_t at_least = text.size() / longest_piece_;
  if (at_least > facts_.context_tokens) return too_long(fmt::format("more than {}", at_least));
  INFERQ_ASSIGN(std::vector<llama_token> tokens, Tokenize(text));
  if (tokens.empty()) {
    base::Error error(Code::kInvalidArgument, "the prompt is empty");
    return std::unexpected(std::move(error).WithParam(param));
  }
  if (tokens.size() >= facts_.context_tokens) return too_long(fmt::format("{}", tokens.size()));
  return Prompt{std::move(tokens), std::move(format)};
}

Result<std::vector<llama_token>> Model::PrepareInput(const EmbedInput& input, uint64_t most) const {
  const auto refused = [&input](std::string message) {
    return std::unexpected(base::Error(Code::kInvalidArgument, std::move(message))
                               .WithParam(fmt::format("body.input[{}]", input.index)));
  };
  const auto too_long = [&](std::string_view size) {
    return refused(fmt::format(
        "the input has {} tokens, more than the {} that this model embeds at once", size, most));
  };
  std::vector<llama_token> tokens = input.tokens;
  if (tokens.empty()) {
    const size_t at_least = input.text.size() / longest_piece_;
    if (at_least > most) return too_long(fmt::format("more than {}", at_least));
    INFERQ_ASSIGN(tokens, Tokenize(input.text));
  }
  if (tokens.empty()) return refused("the input is empty");
  if (tokens.size() > most) return too_long(fmt::format("{}", tokens.size()));
  const llama_token end = llama_vocab_n_tokens(vocab_);
  for (llama_token token : tokens) {
    if (token < 0 || token >= end)
      return refused(fmt::format("the token id {} is none of this model's {}", token, end));
  }
  return tokens;
}

std::string Model::Piece(llama_token token, bool control) const {
  std::string piece(32, '\0');
  int32_t length = llama_token_to_piece(vocab_, token, piece.data(),
                                        static_cast<int32_t>(piece.size()), 0, control);
  if (length < 0) {
    piece.resize(static_cast<size_t>(-length));
    length = llama_token_to_piece(vocab_, token, piece.data(), static_cast<int32_t>(piece.size()),
                                  0, control);
  }
  piece.resize(static_cast<size_t>(std::max(0, length)));
  return piece;
}

// Tokens that swallow white space around them stand for more than their piece: hence the factor.
size_t Model::LongestPiece() const {
  constexpr size_t kSlack = 4;
  size_t longest = 1;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); ++token) {
    const char* text = llama_vocab_get_text(vocab_, token);
    if (text) longest = std::max(longest, std::string_view(text).size());
  }
  return longest * kSlack;
}

}  // namespace inferq::engine::llama
