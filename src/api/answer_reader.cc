#include "api/answer_reader.h"

#include "runtime/call_on.h"

namespace inferq::api {

Awaitable<void> AnswerReader::Fetch() {
  auto next = [answer = answer_] { return answer->Next(); };
  delta_ = co_await runtime::CallOn(here_, there_, std::move(next));
  arrived_.NotifyAll();
}

Awaitable<std::optional<base::Result<engine::Delta>>> AnswerReader::NextUntil(
    base::SteadyTime deadline) {
  if (!delta_ && scope_.active() == 0) scope_.Spawn(Fetch());
  while (!delta_) {
    if (!co_await arrived_.WaitUntil(deadline)) break;
  }
  co_return std::exchange(delta_, std::nullopt);
}

void AnswerReader::Cancel() {
  there_.Post([answer = answer_] { answer->Cancel(); });
}

Awaitable<void> AnswerReader::Close() {
  if (scope_.active() > 0) Cancel();
  co_await scope_.Join();
}

}  // namespace inferq::api
