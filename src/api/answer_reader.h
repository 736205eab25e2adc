#pragma once

#include <memory>
#include <optional>

#include "runtime/event.h"
#include "service/service.h"

namespace inferq::api {

using runtime::Awaitable;

/// Reads an answer of the service from another loop, with a limit on each wait. On the strand of
/// `here`. co_await Close() before destruction.
class AnswerReader {
 public:
  /// @param there  the strand of the answer.
  AnswerReader(runtime::Runtime& here, runtime::Runtime& there,
               std::shared_ptr<service::Answer> answer)
      : here_(here), there_(there), answer_(std::move(answer)), arrived_(here), scope_(here) {}

  /// The next delta or failure; nullopt when none came until `deadline`: ask again.
  Awaitable<std::optional<base::Result<engine::Delta>>> NextUntil(base::SteadyTime deadline);
  /// Ends the answer soon; what waits for it is woken by its end.
  void Cancel();
  /// Drops the answer, and waits for what is under way.
  Awaitable<void> Close();

 private:
  Awaitable<void> Fetch();

  runtime::Runtime& here_;
  runtime::Runtime& there_;
  std::shared_ptr<service::Answer> answer_;
  std::optional<base::Result<engine::Delta>> delta_;
  runtime::Event arrived_;
  runtime::Scope scope_;
};

}  // namespace inferq::api
