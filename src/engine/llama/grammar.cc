#include "engine/llama/grammar.h"

#include <json-schema-to-grammar.h>

#include <cmath>
#include <exception>
#include <limits>
#include <regex>
#include <utility>

namespace inferq::engine::llama {

using base::Code;
using base::Fail;
using base::Result;

Result<Grammar> Grammar::Make(const llama_vocab* vocab, const GrammarSource& source) {
  std::vector<const char*> patterns;
  for (const std::string& pattern : source.patterns) patterns.push_back(pattern.c_str());
  try {
    Ptr sampler(source.lazy ? llama_sampler_init_grammar_lazy_patterns(
                                  vocab, source.gbnf.c_str(), "root", patterns.data(),
                                  patterns.size(), source.tokens.data(), source.tokens.size())
                            : llama_sampler_init_grammar(vocab, source.gbnf.c_str(), "root"));
    if (!sampler || source.gbnf.empty()) {
      return Fail(Code::kInvalidArgument,
                  "the grammar cannot be read; it must be GBNF with a rule 'root', without left "
                  "recursion");
    }
    Grammar grammar(vocab, std::move(sampler),
                    std::make_shared<const std::set<llama_token>>(source.visible));
    grammar.lazy_ = source.lazy;
    for (llama_token token : source.begun) llama_sampler_accept(grammar.sampler_.get(), token);
    return grammar;
  } catch (const std::exception& error) {
    return Fail(Code::kInvalidArgument, "the grammar cannot be used: {}", error.what());
  }
}

Grammar Grammar::Copy() const {
  Grammar copy(vocab_, Ptr(llama_sampler_clone(sampler_.get())), visible_);
  copy.lazy_ = lazy_;
  return copy;
}

// A control token's name would count as text for the grammar, but it is not shown.
bool Grammar::Hidden(llama_token token) const {
  return !lazy_ && llama_vocab_is_control(vocab_, token) && !llama_vocab_is_eog(vocab_, token) &&
         !visible_->contains(token);
}

bool Grammar::Allows(llama_token token) const {
  if (Hidden(token)) return false;
  llama_token_data one{token, 0, 0};
  llama_token_data_array array{&one, 1, -1, false};
  llama_sampler_apply(sampler_.get(), &array);
  return std::isfinite(one.logit);
}

void Grammar::Constrain(std::span<float> logits, std::vector<llama_token_data>& scratch) const {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  scratch.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<llama_token>(i);
    if (logits[i] == kNever) continue;
    if (Hidden(token)) {
      logits[i] = kNever;
    } else {
      scratch.push_back({token, logits[i], 0});
    }
  }
  llama_token_data_array array{scratch.data(), scratch.size(), -1, false};
  llama_sampler_apply(sampler_.get(), &array);
  for (const llama_token_data& token : scratch) logits[static_cast<size_t>(token.id)] = token.logit;
}

void Grammar::Accept(llama_token token) {
  try {
    llama_sampler_accept(sampler_.get(), token);
  } catch (const std::exception&) {
    // A lazy grammar that does not go on from where its trigger was found: the text stays free.
    sampler_.reset(llama_sampler_init_grammar(vocab_, "", "root"));
  }
}

Result<std::string> GrammarOfSchema(const std::string& json_schema) {
  try {
    return json_schema_to_grammar(common_json::parse(json_schema), true);
  } catch (const std::exception& error) {
    return Fail(Code::kInvalidArgument, "the schema cannot be used: {}", error.what());
  }
}

}  // namespace inferq::engine::llama
