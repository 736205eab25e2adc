#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/llama/model.h"
#include "engine/llama/protocol.h"

namespace inferq::engine::llama {

/// How token vectors become one.
enum class Pooling : uint8_t {
  kModel,  ///< As the GGUF says; the mean where it says nothing.
  kMean,
  kCls,   ///< That of the first token.
  kLast,  ///< That of the last token.
};

struct EmbedOptions {
  Pooling pooling = Pooling::kModel;
  bool normalize = true;  ///< To length 1.
};

/// Runs micro-batches of embeddings on a context of its own beside the model's, made when the first
/// one comes. The memory of that context: keys and values of `embed_tokens` tokens (f16), and,
/// where the model has an output layer, two float32 logits for each token of the longest run times
/// the vocabulary, which llama.cpp computes whether they are wanted or not.
///
/// A run of the model holds whole inputs, one sequence each, up to 512 tokens (or one longer input)
/// and 256 inputs, so that generation beside it waits no longer than for a piece of a prompt. One
/// thread. Submit and Cancel between the steps.
class Embedder {
 public:
  /// @param model     outlives it.
  /// @param on_start  called before the inputs of a micro-batch are touched, with their requests.
  Embedder(
      const Model& model, EmbedOptions options,
      std::function<void(std::vector<uint64_t> ids)> on_start = [](std::vector<uint64_t>) {});
  ~Embedder();

  void Submit(Embed batch);
  /// Takes the inputs of a request out. Nothing more is said of them.
  void Cancel(uint64_t id);
  /// False: a Step would do nothing.
  bool HasWork() const { return !queue_.empty(); }

  /// One run of the model, for the oldest micro-batch. kInternal: the context is broken.
  base::Result<Embedded> Step();

 private:
  struct Input {
    EmbedInput input;
    std::vector<llama_token> tokens;
  };
  struct Batch {
    uint64_t number = 0;
    bool begun = false;
    std::deque<Input> inputs;  // to run
  };
  struct FreeContext {
    void operator()(llama_context* context) const { llama_free(context); }
  };

  base::Result<> MakeContext();
  enum llama_pooling_type PoolingType() const;
  void Begin(Batch& batch, Embedded& out);
  std::vector<Input> TakeRun(Batch& batch) const;
  base::Result<> Run(std::span<const Input> inputs, Embedded& out);
  base::Result<> Compute(std::span<const Input> inputs);
  Embedding Read(const Input& input, llama_seq_id sequence) const;

  const Model& model_;
  EmbedOptions options_;
  std::function<void(std::vector<uint64_t>)> on_start_;
  std::unique_ptr<llama_context, FreeContext> context_;
  std::deque<Batch> queue_;
};

}  // namespace inferq::engine::llama
