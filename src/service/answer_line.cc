#include "service/answer_line.h"

#include "wire/batch_line.h"

namespace inferq::service {

std::string BatchRequestId(model::TaskId id) { return fmt::format("batch_req_{:016x}", id.value); }

std::string AttemptId(const queue::ClaimedTask& task) {
  return fmt::format("req_{:016x}_{}", task.id.value, task.attempt);
}

int64_t UnixSeconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string AnswerBody(const queue::ClaimedTask& task, const Work& work, engine::Delta answer,
                       base::WallTime now) {
  if (!answer.raw_response.empty()) return std::move(answer.raw_response);
  bool chat = work.request.endpoint == engine::Endpoint::kChatCompletions;
  wire::Completion completion{
      .id = fmt::format("{}-{:016x}", chat ? "chatcmpl" : "cmpl", task.id.value),
      .created = UnixSeconds(now),
      .model = work.request.model,
      .text = std::move(answer.text),
      .finish_reason = std::string(engine::FinishReasonName(*answer.finish_reason)),
      .usage = {answer.usage.prompt_tokens, answer.usage.completion_tokens,
                answer.usage.cached_tokens, answer.usage.distinct_tokens}};
  return wire::CompletionBody(work.request.endpoint, completion);
}

std::string AnswerLine(const queue::ClaimedTask& task, const Work& work, engine::Delta answer,
                       base::WallTime now) {
  return wire::BatchResponseLine(BatchRequestId(task.id), work.custom_id, 200, AttemptId(task),
                                 AnswerBody(task, work, std::move(answer), now)) +
         "\n";
}

std::string ErrorLine(const queue::ClaimedTask& task, const std::string& custom_id,
                      const base::Error& error) {
  return wire::BatchResponseLine(BatchRequestId(task.id), custom_id, AttemptId(task), error) + "\n";
}

std::string EndingLine(const std::string& id, const std::string& custom_id, model::State state,
                       const model::Outcome& outcome) {
  if (state == model::State::kExpired) return wire::BatchExpiredLine(id, custom_id) + "\n";
  if (state == model::State::kCancelled) {
    return wire::BatchErrorLine(id, custom_id, "batch_cancelled", "This request was cancelled.") +
           "\n";
  }
  base::Error error(outcome.code, outcome.message);
  return wire::BatchResponseLine(id, custom_id, "", error) + "\n";
}

}  // namespace inferq::service
