#include "engine/llama/request.h"

#include "wire/chat.h"

namespace inferq::engine::llama {

GenerateRequest ToGenerateRequest(const Request& request, wire::GenerateRequest parsed) {
  GenerateRequest out;
  out.endpoint = request.endpoint;
  for (wire::ChatMessage& message : parsed.messages) {
    out.messages.push_back({.role = std::move(message.role),
                            .content = std::move(message.content),
                            .tool_calls = std::move(message.tool_calls),
                            .tool_call_id = std::move(message.tool_call_id),
                            .name = std::move(message.name)});
  }
  out.prompt = std::move(parsed.prompt);
  wire::Sampling& sampling = parsed.sampling;
  out.sampling = {.temperature = sampling.temperature,
                  .top_p = sampling.top_p,
                  .top_k = static_cast<uint32_t>(sampling.top_k),
                  .min_p = sampling.min_p,
                  .seed = sampling.seed,
                  .repeat_penalty = sampling.repeat_penalty,
                  .frequency_penalty = sampling.frequency_penalty,
                  .presence_penalty = sampling.presence_penalty,
                  .logit_bias = std::move(sampling.logit_bias)};
  out.max_tokens = parsed.max_tokens;
  out.stop = std::move(parsed.stop);
  out.ignore_eos = parsed.ignore_eos;
  out.interactive = request.interactive;
  out.n = parsed.n;
  out.logprobs = parsed.logprobs;
  out.top_logprobs = parsed.top_logprobs;
  out.json_schema = std::move(parsed.json_schema);
  out.grammar = std::move(parsed.grammar);
  out.tools = std::move(parsed.tools);
  out.tool_choice = parsed.tool_choice;
  out.parallel_tool_calls = parsed.parallel_tool_calls;
  return out;
}

}  // namespace inferq::engine::llama
