#include "service/run_output.h"

#include <algorithm>

#include "service/answer_line.h"
#include "service/ingest/csv.h"
#include "wire/batch_line.h"

namespace inferq::service {
namespace {

constexpr uint32_t kPage = 1000;

}  // namespace

std::string ErrorsPathOf(const std::string& output) {
  size_t slash = output.rfind('/');
  size_t dot = output.rfind('.');
  bool has_extension = dot != output.npos && (slash == output.npos || dot > slash + 1) && dot > 0;
  return (has_extension ? output.substr(0, dot) : output) + ".errors.jsonl";
}

RunOutput::RunOutput(runtime::Runtime& runtime, base::FileSystem& fs, blob::BlobStore& blobs,
                     queue::Queue& queue, Options options)
    : runtime_(runtime), fs_(fs), blobs_(blobs), queue_(queue), options_(std::move(options)) {}

base::Result<> RunOutput::Open() {
  INFERQ_ASSIGN(results_, VerifiedFile::Open(fs_, options_.path));
  INFERQ_ASSIGN(errors_, VerifiedFile::Open(fs_, ErrorsPathOf(options_.path)));
  if (options_.format == OutputFormat::kCsv)
    INFERQ_TRY(results_->Put(ingest::CsvHeader(options_.columns)));
  return {};
}

Awaitable<base::Result<>> RunOutput::CatchUp() {
  while (true) {
    queue::QueryRequest request{.filter = {.tenant = {}, .batch = options_.batch, .state = {}},
                                .after = last_sequence_,
                                .order = queue::QueryRequest::Order::kFinishSequence,
                                .limit = kPage};
    INFERQ_CO_ASSIGN(auto ended, co_await queue_.Query(std::move(request)));
    bool last_page = ended.size() < kPage;
    if (!ended.empty()) last_sequence_ = ended.back().finish_sequence;
    auto write = [this, ended = std::move(ended), last_page]() -> base::Result<> {
      INFERQ_TRY(WriteAll(ended));
      if (!last_page) return {};
      INFERQ_TRY(results_->Flush());
      return errors_->Flush();
    };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(write)));
    if (last_page) co_return base::Result<>{};
  }
}

base::Result<> RunOutput::WriteAll(const std::vector<model::TaskRecord>& ended) {
  for (const model::TaskRecord& task : ended) {
    const model::Extent& result = task.outcome.result;
    uint64_t& end = results_end_[result.blob];
    end = std::max(end, result.offset + result.length);
    INFERQ_TRY(task.state == model::State::kSucceeded ? WriteSuccess(task) : WriteFailure(task));
  }
  return {};
}

base::Result<> RunOutput::WriteSuccess(const model::TaskRecord& task) {
  INFERQ_ASSIGN(std::string line, blobs_.Read(task.outcome.result));
  INFERQ_ASSIGN(wire::BatchOutput answer, wire::ParseBatchOutput(line));
  ++totals_.succeeded;
  totals_.prompt_tokens += answer.completion.usage.prompt_tokens;
  totals_.cached_tokens += answer.completion.usage.cached_tokens;
  totals_.distinct_tokens += answer.completion.usage.distinct_tokens;
  totals_.completion_tokens += answer.completion.usage.completion_tokens;
  if (options_.format == OutputFormat::kJsonl) return results_->Put(line);
  INFERQ_ASSIGN(RunLine input, ReadRunLine(blobs_, task.spec.payload));
  ingest::CsvResult row{.output = answer.completion.text,
                        .finish_reason = answer.completion.finish_reason,
                        .prompt_tokens = answer.completion.usage.prompt_tokens,
                        .completion_tokens = answer.completion.usage.completion_tokens};
  return results_->Put(ingest::CsvRow(input.columns, row));
}

base::Result<> RunOutput::WriteFailure(const model::TaskRecord& task) {
  ++totals_.failed;
  if (task.outcome.result.length > 0) {
    INFERQ_ASSIGN(std::string line, blobs_.Read(task.outcome.result));
    return errors_->Put(line);
  }
  INFERQ_ASSIGN(RunLine input, ReadRunLine(blobs_, task.spec.payload));
  return errors_->Put(
      EndingLine(BatchRequestId(task.id), input.custom_id, task.state, task.outcome));
}

Awaitable<base::Result<>> RunOutput::Finish() {
  auto close = [this] { return Close(); };
  co_return co_await runtime_.RunBlocking(runtime::kAnyLane, close);
}

base::Result<> RunOutput::Close() {
  INFERQ_TRY(results_->Sync());
  INFERQ_TRY(errors_->Sync());
  if (errors_->size() == 0) INFERQ_TRY(fs_.Remove(ErrorsPathOf(options_.path)));
  return fs_.SyncDirectory(base::DirectoryOf(options_.path));
}

uint64_t RunOutput::results_end(blob::BlobId log) const {
  auto found = results_end_.find(log);
  return found == results_end_.end() ? 0 : found->second;
}

}  // namespace inferq::service
