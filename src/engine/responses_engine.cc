#include "engine/responses_engine.h"

#include <utility>

#include "engine/wrapped_engine.h"
#include "wire/json.h"
#include "wire/responses.h"
#include "wire/responses_request.h"

namespace inferq::engine {

using base::Error;
using base::Result;

namespace {

/// An error of the chat in the words of the request that the client sent.
Error InTheirWords(Error error) {
  const std::string& chat = error.param();
  std::string param = wire::ResponsesParam(chat);
  if (chat.empty() || param == chat) return error;
  std::string message = error.message();
  if (size_t at = message.find("'" + chat); at != message.npos)
    message.replace(at + 1, chat.size(), param);
  return Error(error.code(), std::move(message))
      .WithParam(std::move(param))
      .WithRetryAfter(error.retry_after());
}

class ResponseGeneration final : public Generation {
 public:
  ResponseGeneration(std::unique_ptr<Generation> inner, wire::ResponseHead head, bool stream)
      : state_(std::make_shared<State>(std::move(inner), wire::ResponseWriter(std::move(head)),
                                       stream)) {}
  ~ResponseGeneration() override { state_->inner->Cancel(); }

  Awaitable<Result<Delta>> Next() override { return NextOf(state_); }
  void Cancel() override { state_->inner->Cancel(); }

 private:
  struct State {
    std::unique_ptr<Generation> inner;
    wire::ResponseWriter writer;
    bool stream;
  };

  // The caller may drop the generation while this waits.
  static Awaitable<Result<Delta>> NextOf(std::shared_ptr<State> state) {
    auto delta = co_await state->inner->Next();
    if (!delta) co_return std::unexpected(InTheirWords(std::move(delta).error()));
    co_return Translate(*state, *std::move(delta));
  }
  static Delta Translate(State& state, Delta chat);

  std::shared_ptr<State> state_;
};

void AddTo(wire::ResponseWriter& writer, const Delta& chat, std::vector<std::string>& events) {
  for (const std::string& chunk : chat.raw_chunks) {
    if (auto json = wire::ParseJson(chunk)) writer.AddChunk(*json, events);
  }
  if (chat.raw_response.empty()) return writer.AddText(chat.text, events);
  if (auto json = wire::ParseJson(chat.raw_response)) writer.AddBody(*json, events);
}

Delta ResponseGeneration::Translate(State& state, Delta chat) {
  std::vector<std::string> events;
  AddTo(state.writer, chat, events);
  const bool whole = chat.finish_reason && chat.finish_reason != FinishReason::kCancelled;
  if (whole) {
    const wire::TokenUsage usage{chat.usage.prompt_tokens, chat.usage.completion_tokens,
                                 chat.usage.cached_tokens, chat.usage.distinct_tokens};
    state.writer.Finish(FinishReasonName(*chat.finish_reason), usage, events);
  }
  Delta out;
  out.tokens = chat.tokens;
  out.finish_reason = chat.finish_reason;
  out.usage = chat.usage;
  if (state.stream) out.raw_chunks = std::move(events);
  if (!state.stream) out.text = std::move(chat.text);
  if (whole && !state.stream) out.raw_response = state.writer.Object();
  return out;
}

class ResponsesEngine final : public WrappedEngine {
 public:
  ResponsesEngine(runtime::Runtime& runtime, std::unique_ptr<Engine> inner)
      : WrappedEngine(std::move(inner)), runtime_(runtime) {}

  Result<std::unique_ptr<Generation>> Submit(Request request) override {
    if (request.endpoint != Endpoint::kResponses) return inner().Submit(std::move(request));
    INFERQ_ASSIGN(auto parsed, wire::ParseResponsesRequest(request.body));
    request.endpoint = Endpoint::kChatCompletions;
    request.body = std::move(parsed.chat_body);
    wire::ResponseHead head = HeadOf(request, std::move(parsed.echo));
    const bool stream = request.stream;
    auto generation = inner().Submit(std::move(request));
    if (!generation) return std::unexpected(InTheirWords(std::move(generation).error()));
    return std::make_unique<ResponseGeneration>(*std::move(generation), std::move(head), stream);
  }

 private:
  wire::ResponseHead HeadOf(const Request& request, std::string echo) const {
    constexpr std::string_view kAttempt = "req_";
    std::string_view id = request.id;
    if (id.starts_with(kAttempt)) id.remove_prefix(kAttempt.size());
    const auto now = runtime_.clock().Wall().time_since_epoch();
    return {.id = std::string(id),
            .created = std::chrono::duration_cast<std::chrono::seconds>(now).count(),
            .model = request.model,
            .echo = std::move(echo)};
  }

  runtime::Runtime& runtime_;
};

}  // namespace

std::unique_ptr<Engine> MakeResponsesEngine(runtime::Runtime& runtime,
                                            std::unique_ptr<Engine> inner) {
  return std::make_unique<ResponsesEngine>(runtime, std::move(inner));
}

}  // namespace inferq::engine
