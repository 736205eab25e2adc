#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace inferq::engine::llama {

/// Who holds which beginning of a token string: a radix tree (as in RadixAttention, Zheng et al.
/// 2024) whose nodes are stretches of tokens with those who hold them. Pure; one owner.
///
///   holder 1: A B C D      root ── "A B" {1,2,3} ─┬─ "C D" {1}
///   holder 2: A B X                               └─ "X" {2}
///   holder 3: A B
class PrefixIndex {
 public:
  using Token = int32_t;
  using Holder = uint32_t;
  using Tokens = std::span<const Token>;

  struct Match {
    size_t length = 0;  ///< 0: nobody holds the first token.
    Holder holder = 0;  ///< One who holds that much; meaningless for length 0.
  };

  PrefixIndex();
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  /// `holder` holds `tokens` from now on, which begin with what it held before.
  void Extend(Holder holder, Tokens tokens);
  /// It holds only the first `length` from now on; 0: nothing. No effect when it holds no more.
  void Truncate(Holder holder, size_t length);
  void Erase(Holder holder) { Truncate(holder, 0); }

  /// The longest beginning of `tokens` that somebody holds.
  Match Longest(Tokens tokens) const { return Find(tokens, nullptr); }
  /// The same, of anybody but `except`.
  Match LongestOfOthers(Tokens tokens, Holder except) const { return Find(tokens, &except); }

  /// How much `holder` holds.
  size_t length(Holder holder) const;
  /// Tokens that are held, those held by several counted once.
  size_t distinct_tokens() const { return distinct_; }
  bool empty() const { return ends_.empty(); }

  // Readers may stop here.

 private:
  struct Node;
  struct End {
    Node* node = nullptr;
    size_t length = 0;
  };

  Match Find(Tokens tokens, const Holder* except) const;
  Node* Grow(Node* node, Holder holder, Tokens rest);
  Node* Split(Node* node, size_t at);
  Node* Leave(Node* node, Holder holder);

  std::unique_ptr<Node> root_;
  std::map<Holder, End> ends_;  // each at the end of its node
  size_t distinct_ = 0;
};

}  // namespace inferq::engine::llama
