#include "logged_queue.h"

#include <utility>

namespace inferq::queue {

using model::TaskId;
using testing::Entry;
using testing::Op;
using Kind = Entry::Kind;

namespace {

template <class T>
std::vector<T> One(T value) {
  std::vector<T> values;
  values.push_back(std::move(value));
  return values;
}

Entry Call(Op op, uint64_t call, TaskId task = {}, model::Fence fence = {}) {
  Entry entry;
  entry.kind = Kind::kCall;
  entry.op = op;
  entry.call = call;
  entry.task = task;
  entry.fence = fence;
  return entry;
}

Entry Answer(const Entry& called) {
  Entry entry = Call(called.op, called.call, called.task, called.fence);
  entry.kind = Kind::kAnswer;
  return entry;
}

template <class T>
Entry Answer(const Entry& called, const base::Result<T>& result) {
  Entry entry = Answer(called);
  if (!result) entry.error = result.error().code();
  return entry;
}

}  // namespace

Awaitable<void> LoggedQueue::Idle() {
  while (under_way_ > 0) co_await idle_.Wait();
}

Awaitable<base::Result<>> LoggedQueue::Item(Entry called,
                                            Awaitable<std::vector<base::Result<>>> answer) {
  UnderWay under_way(*this);
  called.call = history_.NewCall();
  history_.Add(called);
  std::vector<base::Result<>> items = co_await std::move(answer);
  history_.Add(Answer(called, items.at(0)));
  co_return items.at(0);
}

Awaitable<base::Result<std::vector<TaskId>>> LoggedQueue::Submit(
    std::vector<model::TaskSpec> specs) {
  UnderWay under_way(*this);
  Entry called = Call(Op::kSubmit, history_.NewCall());
  called.specs = specs;
  history_.Add(called);
  auto ids = co_await queue_.Submit(std::move(specs));
  Entry answer = Answer(called, ids);
  if (ids) answer.ids = *ids;
  history_.Add(std::move(answer));
  co_return ids;
}

Awaitable<base::Result<std::vector<ClaimedTask>>> LoggedQueue::Claim(ClaimRequest request) {
  UnderWay under_way(*this);
  uint64_t call = history_.NewCall();
  history_.Add(Call(Op::kClaim, call));
  auto claimed = co_await queue_.Claim(request);
  if (!claimed) co_return claimed;
  for (const ClaimedTask& task : *claimed) AddClaimed(call, request, task);
  for (const ClaimedTask& task : *claimed) {
    for (TaskId parent : task.spec.parents) (void)co_await See(parent);
  }
  co_return claimed;
}

void LoggedQueue::AddClaimed(uint64_t call, const ClaimRequest& request, const ClaimedTask& task) {
  Entry entry = Call(Op::kClaim, call, task.id, task.fence);
  entry.kind = Kind::kClaimed;
  entry.specs.push_back(task.spec);
  entry.worker = request.worker;
  entry.lease = request.lease;
  entry.attempt = task.attempt;
  entry.alone = task.alone;
  entry.eligible = task.eligible;
  history_.Add(std::move(entry));
}

Awaitable<base::Result<>> LoggedQueue::Start(TaskRef task) {
  return Item(Call(Op::kStart, 0, task.id, task.fence), queue_.Start(One(task)));
}

Awaitable<RenewalReply> LoggedQueue::Renew(Renewal renewal) {
  UnderWay under_way(*this);
  Entry called = Call(Op::kRenew, history_.NewCall(), renewal.task.id, renewal.task.fence);
  called.lease = renewal.lease;
  history_.Add(called);
  std::vector<RenewalReply> replies = co_await queue_.Renew(One(std::move(renewal)));
  Entry answer = Answer(called);
  answer.held = static_cast<testing::Held>(replies.at(0));
  history_.Add(std::move(answer));
  co_return replies.at(0);
}

Awaitable<base::Result<>> LoggedQueue::Complete(Completion completion) {
  Entry called = Call(Op::kComplete, 0, completion.task.id, completion.task.fence);
  called.result = completion.result;
  return Item(std::move(called), queue_.Complete(One(completion)));
}

Awaitable<base::Result<>> LoggedQueue::Fail(Failure failure) {
  Entry called = Call(Op::kFail, 0, failure.task.id, failure.task.fence);
  called.crashed = failure.crashed;
  return Item(std::move(called), queue_.Fail(One(std::move(failure))));
}

Awaitable<std::vector<base::Result<>>> LoggedQueue::FailAll(std::vector<Failure> failures) {
  UnderWay under_way(*this);
  uint64_t call = history_.NewCall();
  std::vector<Entry> called;
  for (const Failure& failure : failures) {
    called.push_back(Call(Op::kFail, call, failure.task.id, failure.task.fence));
    called.back().crashed = failure.crashed;
    history_.Add(called.back());
  }
  std::vector<base::Result<>> items = co_await queue_.Fail(std::move(failures));
  for (size_t i = 0; i < items.size(); ++i) history_.Add(Answer(called[i], items[i]));
  co_return items;
}

Awaitable<base::Result<>> LoggedQueue::Release(TaskRef task) {
  return Item(Call(Op::kRelease, 0, task.id, task.fence), queue_.Release(One(task)));
}

Awaitable<base::Result<>> LoggedQueue::Cancel(TaskId task) {
  return Item(Call(Op::kCancel, 0, task), queue_.Cancel(One(task)));
}

Awaitable<base::Result<>> LoggedQueue::Requeue(TaskId task) {
  return Item(Call(Op::kRequeue, 0, task), queue_.Requeue(One(task)));
}

Awaitable<base::Result<model::Version>> LoggedQueue::Edit(EditRequest request) {
  UnderWay under_way(*this);
  Entry called = Call(Op::kEdit, history_.NewCall(), request.id);
  history_.Add(called);
  auto version = co_await queue_.Edit(request);
  history_.Add(Answer(called, version));
  co_return version;
}

Awaitable<base::Result<model::TaskRecord>> LoggedQueue::See(TaskId task) {
  UnderWay under_way(*this);
  Entry called = Call(Op::kSee, history_.NewCall(), task);
  history_.Add(called);
  auto record = co_await queue_.Get(task);
  Entry answer = Answer(called, record);
  if (record) answer.record = *record;
  history_.Add(std::move(answer));
  co_return record;
}

Awaitable<testing::FinalState> LookAtEverything(Queue& queue) {
  testing::FinalState state;
  QueryRequest request{.limit = 1000};
  while (true) {
    auto page = co_await queue.Query(request);
    if (!page || page->empty()) break;
    request.after = page->back().id.value;
    state.records.insert(state.records.end(), page->begin(), page->end());
  }
  QueueStats stats = queue.Stats({});
  std::ranges::copy(stats.by_state, state.by_state.begin());
  co_return state;
}

}  // namespace inferq::queue
