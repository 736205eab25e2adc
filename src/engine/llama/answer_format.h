#pragma once

#include <llama.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/llama/grammar.h"
#include "wire/chat.h"

namespace inferq::engine::llama {

/// Finds tool calls in the text of an answer, as the model's template writes them. Safe from any
/// thread.
class ToolParser {
 public:
  struct Message {
    std::string text;
    std::vector<wire::ToolCall> calls;  ///< Each with an id.
  };
  virtual ~ToolParser() = default;
  /// Text that is not in the template's form has no calls.
  /// @param cut  it ended before the model was done: the last call may lack its end.
  virtual Message Parse(const std::string& text, bool cut) const = 0;
};

/// What an answer has to look like and how it is read. Made with the prompt; all answers of a
/// request share it.
struct AnswerFormat {
  std::optional<Grammar> grammar;           ///< At its beginning: each answer takes a copy.
  std::vector<std::string> stop;            ///< Beside those of the request.
  std::set<llama_token> visible;            ///< Control tokens that are part of the text.
  std::shared_ptr<const ToolParser> tools;  ///< Null: the text is the answer.
};

}  // namespace inferq::engine::llama
