#pragma once

#include <llama.h>

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace inferq::engine::llama {

/// What a grammar is made of: GBNF, and when it begins to hold.
struct GrammarSource {
  std::string gbnf;
  /// Nothing is refused until the text so far matches one of `patterns` or one of `tokens` comes;
  /// then the grammar holds from the match on.
  bool lazy = false;
  std::vector<std::string> patterns = {};
  std::vector<llama_token> tokens = {};
  /// Control tokens that are part of the text; others are refused, as they would leave no trace in
  /// it.
  std::set<llama_token> visible = {};
  /// What the text already begins with.
  std::vector<llama_token> begun = {};
};

/// Where one answer stands in its grammar. One thread; Copy and the destructor need no other care.
class Grammar {
 public:
  /// @param vocab  outlives it. kInvalidArgument: the source cannot be used.
  static base::Result<Grammar> Make(const llama_vocab* vocab, const GrammarSource& source);
  Grammar Copy() const;

  /// Whether the token may come next. At the end of a complete text end tokens may, and only there.
  bool Allows(llama_token token) const;
  /// Sets the logits of all tokens that may not come next to -infinity.
  void Constrain(std::span<float> logits, std::vector<llama_token_data>& scratch) const;
  /// Takes in the next token, which it allows.
  void Accept(llama_token token);

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
  };
  using Ptr = std::unique_ptr<llama_sampler, Free>;

  Grammar(const llama_vocab* vocab, Ptr sampler, std::shared_ptr<const std::set<llama_token>> shown)
      : vocab_(vocab), sampler_(std::move(sampler)), visible_(std::move(shown)) {}
  bool Hidden(llama_token token) const;

  const llama_vocab* vocab_;
  Ptr sampler_;
  bool lazy_ = false;
  std::shared_ptr<const std::set<llama_token>> visible_;
};

/// The GBNF of JSON values that a schema describes. kInvalidArgument: not a schema that it knows.
base::Result<std::string> GrammarOfSchema(const std::string& json_schema);

}  // namespace inferq::engine::llama
