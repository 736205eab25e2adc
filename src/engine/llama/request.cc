#include "engine/llama/request.h"

#include "wire/chat.h"

namespace inferq::engine::llama {

base::Result<GenerateRequest> ParseRequest(const Request& request) {
  INFERQ_ASSIGN(wire::GenerateRequest parsed,
                wire::ParseGenerateRequest(request.body, request.endpoint));
  GenerateRequest out;
  out.endpoint = request.endpoint;
  for (wire::ChatMessage& message : parsed.messages) {
    out.messages.push_back({std::move(message.role), std::move(message.content)});
  }
  out.prompt = std::move(parsed.prompt);
  const wire::Sampling& sampling = parsed.sampling;
  out.sampling = {.temperature = sampling.temperature,
                  .top_p = sampling.top_p,
                  .top_k = static_cast<uint32_t>(sampling.top_k),
                  .min_p = sampling.min_p,
                  .seed = sampling.seed,
                  .repeat_penalty = sampling.repeat_penalty,
                  .frequency_penalty = sampling.frequency_penalty,
                  .presence_penalty = sampling.presence_penalty};
  out.max_tokens = parsed.max_tokens;
  out.stop = std::move(parsed.stop);
  out.ignore_eos = parsed.ignore_eos;
  out.interactive = request.interactive;
  return out;
}

}  // namespace inferq::engine::llama
