#pragma once

#include <llama.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "engine/llama/answer_format.h"
#include "engine/llama/request.h"

struct common_chat_templates;
struct common_chat_templates_inputs;

namespace inferq::engine::llama {

/// A model's chat template: makes the prompt of messages and tools, and says how calls of tools
/// are written. Safe from any thread.
class ChatTemplate {
 public:
  /// @param model  outlives it. kInvalidArgument: it has none, or a broken one.
  static base::Result<ChatTemplate> Load(const llama_model* model);

  /// @param format  gets what calls of tools need. kInvalidArgument, with param: the template
  ///                refuses the messages, or knows no tools.
  base::Result<std::string> Render(const GenerateRequest& request, AnswerFormat& format) const;

 private:
  struct Free {
    void operator()(common_chat_templates* templates) const;
  };
  ChatTemplate() = default;
  base::Result<> CheckTools(const GenerateRequest& request) const;
  base::Result<std::string> Apply(const common_chat_templates_inputs& inputs,
                                  AnswerFormat& format) const;

  const llama_vocab* vocab_ = nullptr;
  std::unique_ptr<common_chat_templates, Free> templates_;
  bool tools_ = false;       // it shows tools
  bool tool_calls_ = false;  // and earlier calls,
  bool parallel_ = false;    // and several at once
};

}  // namespace inferq::engine::llama
