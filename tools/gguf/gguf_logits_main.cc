// inferq-gguf-logits FILE [--tokens]: what bare libllama makes of prompts. Reads one JSON string a
// line from standard input and writes {"tokens":[...],"logits":[...]} for each, the logits being
// those after the last token; --tokens leaves them out. The names of special tokens stand for them,
// as in a rendered chat template. For comparing a model with the program that trained it.

#include <llama.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <span>

#include "base/error.h"
#include "gguf/llama_backends.h"
#include "wire/json.h"

namespace {

using inferq::base::Code;
using inferq::base::Fail;
using inferq::base::Result;
using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using Context = std::unique_ptr<llama_context, decltype(&llama_free)>;
using Tokens = std::vector<llama_token>;

constexpr uint32_t kContextTokens = 512;

Result<Tokens> Tokenize(const llama_vocab& vocab, const std::string& text) {
  Tokens tokens(kContextTokens);
  int n = llama_tokenize(&vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                         static_cast<int>(tokens.size()), false, true);
  if (n <= 0) return Fail(Code::kInvalidArgument, "no tokens, or more than {}", kContextTokens);
  tokens.resize(static_cast<size_t>(n));
  return tokens;
}

Result<std::string> ReadPrompt(const std::string& line) {
  INFERQ_ASSIGN(inferq::wire::JsonValue json, inferq::wire::ParseJson(line));
  std::optional<std::string> text = json.AsString();
  if (!text) return Fail(Code::kInvalidArgument, "{} is no JSON string", line);
  return *std::move(text);
}

class Session {
 public:
  Session(Model model, Context context) : model_(std::move(model)), context_(std::move(context)) {}

  Result<std::string> Answer(const std::string& line, bool only_tokens) {
    INFERQ_ASSIGN(std::string prompt, ReadPrompt(line));
    INFERQ_ASSIGN(Tokens tokens, Tokenize(vocab(), prompt));
    std::string answer = fmt::format("{{\"tokens\":[{}]", fmt::join(tokens, ","));
    if (!only_tokens) {
      INFERQ_ASSIGN(std::span<const float> logits, Decode(tokens));
      answer += fmt::format(",\"logits\":[{}]", fmt::join(logits, ","));
    }
    return answer + "}\n";
  }

 private:
  const llama_vocab& vocab() const { return *llama_model_get_vocab(model_.get()); }

  Result<std::span<const float>> Decode(Tokens& tokens) {
    llama_memory_clear(llama_get_memory(context_.get()), true);
    llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
    if (llama_decode(context_.get(), batch) != 0)
      return Fail(Code::kInternal, "llama_decode fails");
    return std::span<const float>(llama_get_logits_ith(context_.get(), -1),
                                  static_cast<size_t>(llama_vocab_n_tokens(&vocab())));
  }

  Model model_;
  Context context_;
};

Result<Session> Open(const std::string& path) {
  inferq::gguf::InitLlama();
  Model model(llama_model_load_from_file(path.c_str(), llama_model_default_params()),
              &llama_model_free);
  if (!model) return Fail(Code::kInvalidArgument, "llama_model_load_from_file refuses it");
  llama_context_params params = llama_context_default_params();
  params.n_ctx = kContextTokens;
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_F32;  // so that only the weights are rounded
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  Context context(llama_init_from_model(model.get(), params), &llama_free);
  if (!context) return Fail(Code::kInvalidArgument, "llama_init_from_model refuses it");
  return Session(std::move(model), std::move(context));
}

Result<> AnswerAll(const std::string& path, bool only_tokens) {
  INFERQ_ASSIGN(Session session, Open(path));
  for (std::string line; std::getline(std::cin, line);) {
    INFERQ_ASSIGN(std::string answer, session.Answer(line, only_tokens));
    fmt::print("{}", answer);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the tokens of prompts and the logits after them.");
  std::string path;
  bool only_tokens = false;
  app.add_option("FILE", path, "A GGUF model")->required();
  app.add_flag("--tokens", only_tokens, "No logits");
  CLI11_PARSE(app, argc, argv);
  if (auto done = AnswerAll(path, only_tokens); !done) {
    fmt::print(stderr, "inferq-gguf-logits: {}: {}\n", path, done.error().message());
    return 1;
  }
  return 0;
}
