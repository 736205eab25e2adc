#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/llama/answer_format.h"
#include "engine/llama/chat_template.h"
#include "engine/llama/protocol.h"
#include "engine/llama/request.h"

namespace inferq::engine::llama {

/// 0 means: choose for me.
struct ModelOptions {
  std::string path = {};  ///< GGUF; of a split model the first part.
  uint32_t slots =
      0;  ///< 1..256 sequences at once; 0: what a third of the free memory takes, at most 64.
  uint32_t context_tokens =
      0;                      ///< Prompt plus output of one request; 0: the model's, at most 8192.
  uint64_t kv_tokens = 0;     ///< Tokens that all slots share; 0: slots * context_tokens.
  uint32_t threads = 0;       ///< 0: physical cores this process may use.
  uint32_t batch_tokens = 0;  ///< Most tokens in a step; 0: 512. At least one for each slot.
  int32_t gpu_layers = -1;    ///< -1: all that fit, where there is a GPU.
};

inline constexpr uint32_t kMaxSlots = 256;  ///< llama.cpp's limit of sequences in a context.

/// Makes llama.cpp's backends known; its libraries lie beside libllama. Once per process, before
/// Load.
void InitLlama();

/// Physical cores that this process may use, within the CPU quota of its control group; >= 1.
uint32_t UsableCores();

/// A request's prompt, and what its answers have to look like.
struct Prepared {
  std::vector<llama_token> tokens;
  std::shared_ptr<const AnswerFormat> format;
};

/// A model in memory, its context and its chat template. Prepare is safe from any thread, the
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
  base::Result<Prepared> Prepare(const GenerateRequest& request) const;

  /// The bytes of a token. Control tokens have none, or their name with `control`.
  std::string Piece(llama_token token, bool control = false) const;
  bool IsEnd(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }

  const Hello& facts() const { return facts_; }
  /// Tokens that all sequences together may hold.
  uint64_t kv_tokens() const { return kv_tokens_; }
  /// Whether the sequences share one cache; else each has its own, and batches of sequence ids
  /// without gaps run fastest.
  bool shares_cache() const { return shares_cache_; }
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
  base::Result<> MakeContext(const ModelOptions& options);
  base::Result<std::string> Render(const GenerateRequest& request, AnswerFormat& format) const;
  base::Result<> Constrain(const GenerateRequest& request, AnswerFormat& format) const;
  base::Result<std::vector<llama_token>> Tokenize(const std::string& text) const;
  size_t LongestPiece() const;

  std::unique_ptr<llama_model, FreeModel> model_;
  const llama_vocab* vocab_ = nullptr;
  std::unique_ptr<llama_context, FreeContext> context_;
  base::Result<ChatTemplate> template_ = base::Fail(base::Code::kInternal, "not loaded");
  size_t longest_piece_ = 1;
  uint64_t kv_tokens_ = 0;
  bool shares_cache_ = false;
  Hello facts_;
};

}  // namespace inferq::engine::llama
