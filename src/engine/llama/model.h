#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/llama/answer_format.h"
#include "engine/llama/chat_template.h"
#include "engine/llama/kv_cache.h"
#include "engine/llama/protocol.h"
#include "engine/llama/request.h"

namespace inferq::engine::llama {

/// Where the keys and values of sequences lie.
enum class CacheKind : uint8_t {
  kAuto,      ///< As the workload asks for, see StepLoop.
  kShared,    ///< One cache for all: beginnings are shared, and memory is given where it is needed.
  kSeparate,  ///< One for each slot: nothing is shared, nobody looks at others' cells.
};

/// 0 means: choose for me.
struct ModelOptions {
  std::string path = {};          ///< GGUF; of a split model the first part.
  std::string adapter_path = {};  ///< LoRA adapter (GGUF); "": none.
  float adapter_scale = 1;
  uint32_t slots =
      0;  ///< 1..256 sequences at once; 0: what a third of the free memory takes, at most 64.
  uint32_t context_tokens =
      0;                      ///< Prompt plus output of one request; 0: the model's, at most 8192.
  uint64_t kv_tokens = 0;     ///< Tokens that all slots share; 0: slots * context_tokens.
  uint32_t threads = 0;       ///< 0: physical cores this process may use.
  uint32_t batch_tokens = 0;  ///< Most tokens in a step; 0: 512. At least one for each slot.
  int32_t gpu_layers = -1;    ///< -1: all that fit, where there is a GPU.
  uint32_t embed_tokens = 0;  ///< Longest input of an embedding; 0: context_tokens, at most 2048.
  CacheKind cache = CacheKind::kAuto;
};

inline constexpr uint32_t kMaxSlots = 256;  ///< llama.cpp's limit of sequences in a context.

/// Makes llama.cpp's backends known; its libraries lie beside libllama. Once per process, before
/// Load.
void InitLlama();

/// A request's prompt, and what its answers have to look like.
struct Prompt {
  std::vector<llama_token> tokens;
  std::shared_ptr<const AnswerFormat> format;
};

/// A model in memory, its context and its chat template. Models that only embed have no context
/// here. Prepare is safe from any thread, the
/// context is for one.
///
/// llama.cpp aborts on some damaged files and when memory runs out: load only in a process that may
/// die.
class Model {
 public:
  /// kInvalidArgument: not a text model of a known architecture, or damaged. kResourceExhausted:
  /// the context does not fit into memory.
  static base::Result<std::unique_ptr<Model>> Load(ModelOptions options);
  ~Model();

  /// The tokens of a request's prompt, through the chat template for a chat. kInvalidArgument, with
  /// param: no template, the template refuses the messages or knows no tools, a schema or grammar
  /// that cannot be used, a bias for no token, nothing to run, or longer than the context.
  base::Result<Prompt> Prepare(const GenerateRequest& request) const;

  /// The tokens of an embedding's input, with those that the model wants around it; stops early
  /// where there would be more than `most`. kInvalidArgument: more than `most`, none, or no tokens
  /// of this model.
  base::Result<std::vector<llama_token>> PrepareInput(const EmbedInput& input, uint64_t most) const;
  /// Whether it writes text; else it only embeds, and context() is null.
  bool generates() const { return !only_embeds_; }

  /// The bytes of a token. Control tokens have none, or their name with `control`.
  std::string Piece(llama_token token, bool control = false) const;
  bool IsEnd(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }

  const Hello& facts() const { return facts_; }
  /// For contexts beside context().
  llama_model* weights() const { return model_.get(); }
  /// Applies the model's adapter, if it has one. kInvalidArgument: it does not fit.
  base::Result<> UseAdapter(llama_context* context) const;
  /// Of the present context. In a shared one there are more sequences than slots, to keep
  /// beginnings of prompts in.
  KvCache::Limits cache_limits() const;
  /// Whether both kinds of cache are possible.
  bool may_choose_cache() const { return may_choose_cache_; }
  /// Replaces the context by an empty one. kResourceExhausted: no memory; then there is none.
  base::Result<> UseCache(bool shared);
  llama_context* context() const { return context_.get(); }
  const llama_vocab* vocab() const { return vocab_; }

 private:
  struct FreeModel {
    void operator()(llama_model* model) const { llama_model_free(model); }
  };
  struct FreeContext {
    void operator()(llama_context* context) const { llama_free(context); }
  };

  Model() = default;
  base::Result<> LoadWeights(const ModelOptions& options);
  void ChooseSizes(const ModelOptions& options);
  base::Result<std::string> Render(const GenerateRequest& request, AnswerFormat& format) const;
  base::Result<> Constrain(const GenerateRequest& request, AnswerFormat& format) const;
  base::Result<> LoadAdapter(const ModelOptions& options);
  base::Result<> UseAdapter();
  base::Result<std::vector<llama_token>> Tokenize(const std::string& text) const;
  size_t LongestPiece() const;

  std::unique_ptr<llama_model, FreeModel> model_;
  llama_adapter_lora* adapter_ = nullptr;  // of model_
  float adapter_scale_ = 1;
  const llama_vocab* vocab_ = nullptr;
  std::unique_ptr<llama_context, FreeContext> context_;
  base::Result<ChatTemplate> template_ = base::Fail(base::Code::kInternal, "not loaded");
  size_t longest_piece_ = 1;
  uint64_t kv_tokens_ = 0;
  bool shares_cache_ = false;
  bool may_choose_cache_ = false;
  bool only_embeds_ = false;
  Hello facts_;
};

}  // namespace inferq::engine::llama
