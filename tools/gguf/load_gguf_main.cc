// inferq-load-gguf FILE: loads a model with bare libllama and runs a few tokens, without a process
// around it. Exit codes: 0 it runs, 1 libllama refuses it; a damaged file may also end it by a
// signal. Shows what the engine's child process is for, and whether a file is at fault.

#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>

#include "gguf/llama_backends.h"

namespace {

using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using Context = std::unique_ptr<llama_context, decltype(&llama_free)>;

constexpr int kRefused = 1;

int Refuse(const char* path, const char* what) {
  fmt::print(stderr, "inferq-load-gguf: {}: {}\n", path, what);
  return kRefused;
}

Context MakeContext(llama_model& model) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 256;
  params.n_threads = params.n_threads_batch = 1;
  return {llama_init_from_model(&model, params), &llama_free};
}

/// A prompt and four greedy tokens. Returns what went wrong, or nullptr.
const char* Generate(llama_context& context, const llama_vocab& vocab) {
  constexpr std::string_view kPrompt = "Open the menu, 打开设置";
  std::vector<llama_token> batch(64);
  int n = llama_tokenize(&vocab, kPrompt.data(), static_cast<int>(kPrompt.size()), batch.data(), 64,
                         true, true);
  if (n <= 0) return "does not tokenise";
  batch.resize(static_cast<size_t>(n));
  for (int i = 0; i < 4; ++i) {
    if (llama_decode(&context, llama_batch_get_one(batch.data(), static_cast<int>(batch.size()))) !=
        0)
      return "llama_decode fails";
    std::span logits(llama_get_logits_ith(&context, -1),
                     static_cast<size_t>(llama_vocab_n_tokens(&vocab)));
    batch = {static_cast<llama_token>(std::ranges::max_element(logits) - logits.begin())};
  }
  return nullptr;
}

int LoadAndRun(const char* path) {
  Model model(llama_model_load_from_file(path, llama_model_default_params()), &llama_model_free);
  if (!model) return Refuse(path, "llama_model_load_from_file refuses it");
  Context context = MakeContext(*model);
  if (!context) return Refuse(path, "llama_init_from_model refuses it");
  const char* wrong = Generate(*context, *llama_model_get_vocab(model.get()));
  return wrong == nullptr ? 0 : Refuse(path, wrong);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: inferq-load-gguf FILE\n");
    return 2;
  }
  inferq::gguf::InitLlama();
  try {
    return LoadAndRun(argv[1]);
  } catch (const std::exception& e) {
    return Refuse(argv[1], e.what());
  }
}
