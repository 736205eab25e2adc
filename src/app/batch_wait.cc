#include "app/batch_wait.h"

#include <algorithm>

#include "app/batch_view.h"
#include "app/download.h"
#include "service/run_output.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Micros;
using runtime::Awaitable;

namespace {

constexpr Micros kFirstPoll = 500ms;

int StopWaiting(ClientSession& session, const std::string& id, int code, const std::string& why) {
  session.display().Say(
      fmt::format("{}; the batch goes on at the server: inferq batch wait {}", why, id));
  return code;
}

}  // namespace

int ExitCodeOf(const client::Batch& batch) {
  if (batch.status != "completed") return kBatchStopped;
  return batch.counts.failed > 0 ? kSomeFailed : kOk;
}

Awaitable<WaitedBatch> WaitForBatch(ClientSession& session, std::string id, Micros timeout,
                                    Micros longest_poll) {
  base::SteadyTime begun = session.runtime().clock().Steady();
  std::optional<uint64_t> ended_before;
  for (Micros pause = kFirstPoll;; pause = std::min(pause * 3 / 2, longest_poll)) {
    auto batch = co_await session.client().GetBatch(id);
    Micros waited = session.runtime().clock().Steady() - begun;
    if (!batch && batch.error().code() != base::Code::kCancelled) {
      co_return WaitedBatch{.code = session.Refused(batch.error())};
    }
    if (batch) {
      if (!ended_before) ended_before = batch->counts.ended();
      session.Show(BatchProgressView(*batch, *ended_before, waited));
      if (batch->ended()) {
        int code = ExitCodeOf(*batch);
        session.display().Finish(BatchSummaryText(*batch), BatchSummaryJson(*batch), code == kOk);
        co_return WaitedBatch{.code = code, .batch = *std::move(batch)};
      }
      if (timeout > 0us && waited >= timeout) {
        co_return WaitedBatch{.code = StopWaiting(session, id, kTimedOut, "waited long enough")};
      }
    }
    if (timeout > 0us) pause = std::min(pause, std::max<Micros>(timeout - waited, 1ms));
    auto paused = co_await session.client().Pause(pause);
    if (!paused) {
      co_return WaitedBatch{.code = StopWaiting(session, id, kInterrupted, "interrupted")};
    }
  }
}

Awaitable<int> FetchResults(ClientSession& session, client::Batch batch, std::string output,
                            std::string errors) {
  if (errors.empty() && output != "-") errors = service::ErrorsPathOf(output);
  if (batch.output_file_id.empty()) {
    session.display().Say("no line succeeded, so there are no results");
  } else {
    int code = co_await DownloadTo(session, batch.output_file_id, output);
    if (code != kOk) co_return code;
  }
  if (!batch.error_file_id.empty() && errors.empty()) {
    session.display().Say("some lines failed: --errors FILE writes them too");
  } else if (!batch.error_file_id.empty()) {
    int code = co_await DownloadTo(session, batch.error_file_id, errors);
    if (code != kOk) co_return code;
  }
  co_return ExitCodeOf(batch);
}

}  // namespace inferq::app
