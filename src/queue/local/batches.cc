// Batches of lines: SubmitBatch and what it needs.

#include "queue/local/local_queue_impl.h"

namespace inferq::queue {

using base::Code;

Awaitable<base::Result<model::TaskId>> LocalQueue::SubmitBatch(BatchPlan) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
std::vector<uint64_t> LocalQueue::LinesWithoutResult(model::BatchId, std::optional<uint64_t>,
                                                     uint32_t) const {
  return {};
}
Awaitable<base::Result<>> LocalQueue::ForgetBatch(model::BatchId) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
Awaitable<base::Result<>> LocalQueue::EditBatch(BatchEdit) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
Awaitable<base::Result<>> LocalQueue::SetPaused(PauseTarget, bool) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
Awaitable<base::Result<model::Outcome>> LocalQueue::GetPast(model::TaskId, model::Generation) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
Awaitable<base::Result<Explanation>> LocalQueue::Explain(model::TaskId) {
  co_return base::Fail(Code::kUnimplemented, "not yet");
}
bool LocalQueue::UsesBlob(uint64_t) const { return true; }

}  // namespace inferq::queue
