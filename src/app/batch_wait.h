#pragma once

#include <optional>
#include <string>

#include "app/client_session.h"
#include "client/types.h"

namespace inferq::app {

/// A batch, looked at until it ends.
struct WaitedBatch {
  int code = 0;  ///< An ExitCode; what went wrong was printed.
  std::optional<client::Batch> batch{};
};

/// Waits until the batch has ended and shows how far it is. The batch itself is not touched by
/// whatever ends the waiting. @param timeout  0: none; then kTimedOut. @param longest_poll  The
/// most time between two looks.
runtime::Awaitable<WaitedBatch> WaitForBatch(ClientSession& session, std::string id,
                                             base::Micros timeout, base::Micros longest_poll);

/// kOk, kSomeFailed or kBatchStopped, for a batch that has ended.
int ExitCodeOf(const client::Batch& batch);

/// Writes the batch's results to `output` and its failed lines to `errors`, which may be empty:
/// beside the output. "-" is standard output.
/// @return the code of the batch, or that of a failure, which was printed.
runtime::Awaitable<int> FetchResults(ClientSession& session, client::Batch batch,
                                     std::string output, std::string errors);

}  // namespace inferq::app
