#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace inferq::gguf {

/// How llama.cpp treats a token (its llama_token_type).
enum class TokenKind : int32_t { kNormal = 1, kControl = 3, kUnused = 5 };

struct Token {
  std::string text;  ///< As in a GGUF: GPT-2's printable stand-ins for bytes, or the name of a
                     ///< special token.
  TokenKind kind = TokenKind::kNormal;
  float gain = 1;  ///< Scale of its logit in a random model; 0: practically never generated.
};

/// A byte-level BPE vocabulary that needs no training: the 256 bytes, common English words and
/// Chinese characters built by merges, and GLM-4's special tokens. Every byte string has an
/// encoding, so tokenising loses nothing.
struct Vocabulary {
  std::vector<Token> tokens;        ///< Index is the token id.
  std::vector<std::string> merges;  ///< "left right", best first.
  int32_t end_of_text = 0;          ///< <|endoftext|>, EOS and padding.
  int32_t end_of_turn = 0;          ///< <|user|>, which ends an answer of GLM-4.
};

/// Deterministic. `size` 0: as many tokens as there are; else padded with unused tokens to `size`,
/// which is at least MakeVocabulary(0).tokens.size().
Vocabulary MakeVocabulary(uint32_t size);

/// A Jinja chat template in the form that GLM-4 expects: [gMASK]<sop>, then <|role|> and the text
/// per message. Refuses roles it does not know with raise_exception.
std::string ChatTemplate();

/// The same with tools: a system message with one JSON object for each, and calls written as
/// [sMASK]{"name": …, "arguments": …}<eop>, so that one token decides whether there is one.
std::string ToolChatTemplate();

/// GPT-2's reversible spelling of bytes as printable characters, UTF-8.
std::string SpellBytes(std::string_view bytes);

}  // namespace inferq::gguf
