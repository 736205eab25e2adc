#include "engine/llama/chat_template.h"

#include <chat.h>
#include <common.h>

#include <exception>
#include <utility>

#include "base/rng.h"
#include "wire/json.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Error;
using base::Result;

std::unexpected<Error> Refused(std::string param, std::string message) {
  return std::unexpected(
      Error(Code::kInvalidArgument, std::move(message)).WithParam(std::move(param)));
}

// "call_" and 24 characters, as OpenAI's.
std::string NewCallId() {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  base::Rng rng(base::RandomSeed());
  std::string id = "call_";
  for (int i = 0; i < 24; ++i) id += kLetters[rng.Below(kLetters.size())];
  return id;
}

class CommonToolParser final : public ToolParser {
 public:
  explicit CommonToolParser(const common_chat_params& params) : params_(params) {
    params_.reasoning_format = COMMON_REASONING_FORMAT_NONE;
    if (!params.parser.empty()) params_.parser.load(params.parser);
  }

  Message Parse(const std::string& text, bool cut) const override {
    try {
      common_chat_msg parsed = common_chat_parse(text, cut, params_);
      Message message{.text = std::move(parsed.content), .calls = {}};
      for (common_chat_tool_call& call : parsed.tool_calls) {
        message.calls.push_back({.id = call.id.empty() ? NewCallId() : std::move(call.id),
                                 .name = wire::RepairUtf8(call.name),
                                 .arguments = wire::RepairUtf8(call.arguments)});
      }
      message.text = wire::RepairUtf8(message.text);
      return message;
    } catch (const std::exception&) {
      return {.text = text, .calls = {}};
    }
  }

 private:
  common_chat_parser_params params_;
};

common_chat_msg MessageOf(const ChatMessage& message) {
  common_chat_msg out;
  out.role = message.role;
  out.content = message.content;
  out.tool_call_id = message.tool_call_id;
  out.tool_name = message.name;
  for (const wire::ToolCall& call : message.tool_calls) {
    out.tool_calls.push_back({.name = call.name, .arguments = call.arguments, .id = call.id});
  }
  return out;
}

common_chat_tool_choice ChoiceOf(wire::ToolChoice choice) {
  switch (choice) {
    case wire::ToolChoice::kAuto:
      return COMMON_CHAT_TOOL_CHOICE_AUTO;
    case wire::ToolChoice::kNone:
      return COMMON_CHAT_TOOL_CHOICE_NONE;
    case wire::ToolChoice::kRequired:
      return COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  }
  return COMMON_CHAT_TOOL_CHOICE_AUTO;
}

// When the grammar of an answer that may have calls begins to hold.
void AddTriggers(const llama_vocab* vocab, const std::vector<common_grammar_trigger>& triggers,
                 GrammarSource& source) {
  for (const common_grammar_trigger& trigger : triggers) {
    switch (trigger.type) {
      case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN:
        source.tokens.push_back(trigger.token);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_WORD: {
        const auto tokens = common_tokenize(vocab, trigger.value, false, true);
        if (tokens.size() == 1) {
          source.tokens.push_back(tokens[0]);
          source.visible.insert(tokens[0]);
        } else {
          source.patterns.push_back(regex_escape(trigger.value));
        }
        break;
      }
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:
        source.patterns.push_back(trigger.value);
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL: {
        std::string pattern = trigger.value;
        if (!pattern.starts_with('^')) pattern.insert(0, "^");
        if (!pattern.ends_with('$')) pattern += "$";
        source.patterns.push_back(std::move(pattern));
        break;
      }
    }
  }
}

// The beginning of the answer that the template wrote into the prompt, which is part of the grammar
// of calls. Some tokenizers put a space before the first word.
std::vector<llama_token> Begun(const llama_vocab* vocab, const std::string& text) {
  auto tokens = common_tokenize(vocab, text, false, true);
  if (tokens.empty() || text.empty()) return tokens;
  const std::string piece = common_token_to_piece(vocab, tokens[0], true);
  if (piece.starts_with(' ') && !text.starts_with(' ')) tokens.erase(tokens.begin());
  return tokens;
}

}  // namespace

void ChatTemplate::Free::operator()(common_chat_templates* templates) const {
  common_chat_templates_free(templates);
}

Result<ChatTemplate> ChatTemplate::Load(const llama_model* model) {
  ChatTemplate loaded;
  loaded.vocab_ = llama_model_get_vocab(model);
  try {
    common_chat_templates_ptr templates = common_chat_templates_init(model, "");
    if (!templates || !common_chat_templates_was_explicit(templates.get())) {
      return Refused("body.messages", "this model has no chat template: use /v1/completions");
    }
    loaded.templates_.reset(templates.release());
    auto caps = common_chat_templates_get_caps(loaded.templates_.get());
    loaded.tool_calls_ = caps["supports_tool_calls"];
    loaded.tools_ = caps["supports_tools"];
    loaded.parallel_ = caps["supports_parallel_tool_calls"];
    return loaded;
  } catch (const std::exception& error) {
    return Refused("body.messages",
                   fmt::format("this model's chat template cannot be used: {}", error.what()));
  }
}

Result<> ChatTemplate::CheckTools(const GenerateRequest& request) const {
  const bool earlier_calls = std::ranges::any_of(
      request.messages, [](const ChatMessage& m) { return !m.tool_calls.empty(); });
  if (earlier_calls && !tool_calls_ && !tools_) {
    return Refused("body.messages", "this model's chat template cannot show calls of tools.");
  }
  if (request.tools.empty() || request.tool_choice == wire::ToolChoice::kNone) return {};
  if (!tools_) return Refused("body.tools", "this model's chat template has no tools.");
  const auto tools = wire::ParseJson(request.tools);
  if (!tools) return std::unexpected(tools.error());
  size_t index = 0;
  for (wire::JsonElements e(*tools); e.Next(); ++index) {
    const auto parameters = e.value().Find("function")->Find("parameters");
    if (!parameters || parameters->is_null()) continue;
    auto grammar = GrammarOfSchema(std::string(parameters->text()));
    if (grammar) continue;
    return Refused(fmt::format("body.tools[{}].function.parameters", index),
                   grammar.error().message());
  }
  return {};
}

Result<std::string> ChatTemplate::Render(const GenerateRequest& request,
                                         AnswerFormat& format) const {
  INFERQ_TRY(CheckTools(request));
  common_chat_templates_inputs inputs;
  inputs.use_jinja = true;
  for (const ChatMessage& message : request.messages) {
    inputs.messages.push_back(MessageOf(message));
  }
  inputs.tool_choice = ChoiceOf(request.tool_choice);
  inputs.parallel_tool_calls = request.parallel_tool_calls.value_or(parallel_);
  try {
    if (tools_ && !request.tools.empty()) {
      inputs.tools = common_chat_tools_parse_oaicompat(common_json::parse(request.tools));
    }
    // Without calls only the prompt is wanted, no parser for the answer.
    inputs.force_pure_content =
        inputs.tools.empty() || inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_NONE;
    return Apply(inputs, format);
  } catch (const std::exception& error) {
    return Refused(
        "body.messages",
        fmt::format("the model's chat template refuses these messages: {}", error.what()));
  }
}

Result<std::string> ChatTemplate::Apply(const common_chat_templates_inputs& inputs,
                                        AnswerFormat& format) const {
  common_chat_params params = common_chat_templates_apply(templates_.get(), inputs);
  if (inputs.force_pure_content) return std::move(params.prompt);
  if (params.grammar.empty() && !tool_calls_) {
    return Refused("body.tools", "this model's chat template does not say how tools are called.");
  }
  GrammarSource source{.gbnf = params.grammar, .lazy = params.grammar_lazy};
  for (const std::string& text : params.preserved_tokens) {
    const auto tokens = common_tokenize(vocab_, text, false, true);
    if (tokens.size() == 1) source.visible.insert(tokens[0]);
  }
  AddTriggers(vocab_, params.grammar_triggers, source);
  if (!source.lazy) source.begun = Begun(vocab_, params.generation_prompt);
  format.visible = source.visible;
  format.stop = params.additional_stops;
  format.tools = std::make_shared<CommonToolParser>(params);
  if (source.gbnf.empty()) return std::move(params.prompt);
  auto grammar = Grammar::Make(vocab_, source);
  if (!grammar) return Refused("body.tools", grammar.error().message());
  format.grammar = *std::move(grammar);
  return std::move(params.prompt);
}

}  // namespace inferq::engine::llama
