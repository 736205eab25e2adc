#include "service/batch_output.h"

#include <algorithm>

#include "service/answer_line.h"
#include "service/batch_lines.h"
#include "wire/batch_line.h"

namespace inferq::service {

using base::Code;
using base::Result;
using model::State;

namespace {

constexpr uint32_t kPage = 1000;
constexpr uint64_t kSkipAtOnce = 20'000;  // lines in one blocking call
constexpr size_t kBuffer = size_t{1} << 20;

bool IsDamage(const base::Error& error) {
  return error.code() == Code::kDataLoss || error.code() == Code::kNotFound;
}

}  // namespace

Result<std::string> EndedLine(blob::BlobStore& blobs, const model::TaskRecord& task) {
  if (task.outcome.result.length > 0) return blobs.Read(task.outcome.result);
  INFERQ_ASSIGN(std::string text, blobs.Read(task.spec.payload));
  auto input = wire::ParseBatchLine(text, {});
  if (!input) return base::Fail(Code::kDataLoss, "{} is damaged", ToString(task.id));
  return EndingLine(BatchRequestId(task.id), input->custom_id, task.state, task.outcome);
}

BatchOutput::BatchOutput(runtime::Runtime& runtime, std::shared_ptr<blob::BlobStore> blobs,
                         queue::Queue& queue, model::BatchRecord batch, State unsent,
                         std::function<bool()> stop)
    : runtime_(runtime),
      blobs_(std::move(blobs)),
      queue_(queue),
      batch_(std::move(batch)),
      unsent_(unsent),
      stop_(std::move(stop)) {}

Awaitable<Result<BatchFiles>> BatchOutput::Write() {
  queue::QueryRequest request{.filter = {.tenant = {}, .batch = batch_.number, .state = {}},
                              .after = 0,
                              .order = queue::QueryRequest::Order::kFinishSequence,
                              .limit = kPage};
  uint64_t sent = 0;
  for (bool more = true; more;) {
    if (stop_()) co_return base::Fail(Code::kCancelled, "stopped");
    INFERQ_CO_ASSIGN(auto ended, co_await queue_.Query(request));
    more = ended.size() == kPage;
    sent += ended.size();
    if (!ended.empty()) request.after = ended.back().finish_sequence;
    auto write = [this, ended = std::move(ended)] { return WriteTasks(ended); };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(write)));
  }
  INFERQ_CO_TRY(co_await WriteWithoutResult(sent));
  auto seal = [this] { return Seal(); };
  co_return co_await runtime_.RunBlocking(runtime::kAnyLane, seal);
}

Result<> BatchOutput::WriteTasks(const std::vector<model::TaskRecord>& ended) {
  for (const model::TaskRecord& task : ended) {
    INFERQ_TRY(task.state == State::kSucceeded ? WriteSuccess(task) : WriteFailure(task));
  }
  return {};
}

Result<> BatchOutput::WriteSuccess(const model::TaskRecord& task) {
  INFERQ_ASSIGN(std::string line, EndedLine(*blobs_, task));
  INFERQ_ASSIGN(wire::BatchOutput answer, wire::ParseBatchOutput(line));
  ++files_.succeeded;
  files_.usage.input_tokens += answer.completion.usage.prompt_tokens;
  files_.usage.cached_tokens += answer.completion.usage.cached_tokens;
  files_.usage.distinct_tokens += answer.completion.usage.distinct_tokens;
  files_.usage.output_tokens += answer.completion.usage.completion_tokens;
  return output_.Put(*blobs_, line);
}

Result<> BatchOutput::WriteFailure(const model::TaskRecord& task) {
  if (task.state == State::kFailed) ++files_.failed;
  if (task.state == State::kExpired) ++files_.expired;
  if (task.state != State::kCancelled) {
    auto request = blobs_->Read(task.spec.payload);
    // A damaged request cannot be run again, and must not keep the others from their files.
    if (!request && !IsDamage(request.error())) return std::unexpected(request.error());
    if (request) INFERQ_TRY(KeepForRetry(*request));
  }
  INFERQ_ASSIGN(std::string line, EndedLine(*blobs_, task));
  return errors_.Put(*blobs_, line);
}

Result<> BatchOutput::KeepForRetry(std::string_view request) {
  ++files_.retry_lines;
  INFERQ_TRY(retry_.Put(*blobs_, request));
  return retry_.Put(*blobs_, "\n");
}

// Lines that were cut with their batch, or never came into the queue.
Awaitable<Result<>> BatchOutput::WriteWithoutResult(uint64_t written) {
  if (written >= batch_.lines) co_return Result<>{};
  auto cursor = std::make_shared<BatchCursor>(blobs_, batch_.input_blob);
  std::optional<uint64_t> after;
  for (uint64_t from = 0;;) {
    if (stop_()) co_return base::Fail(Code::kCancelled, "stopped");
    std::vector<uint64_t> lines = NextWithoutResult(after, written);
    if (lines.empty()) co_return Result<>{};
    after = lines.back();
    for (; lines.front() - from > kSkipAtOnce; from += kSkipAtOnce) {
      auto skip = [cursor] { return cursor->Skip(kSkipAtOnce); };
      INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, skip));
    }
    auto write = [this, cursor, from, lines] { return WriteUnsent(*cursor, from, lines); };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, write));
    from = *after + 1;
  }
}

// A page of them, behind a line. Those that are not in the queue are all behind those that are.
std::vector<uint64_t> BatchOutput::NextWithoutResult(std::optional<uint64_t> after,
                                                     uint64_t written) const {
  auto lines = queue_.LinesWithoutResult(batch_.number, after, kPage);
  uint64_t known = queue_.Stats({.tenant = {}, .batch = batch_.number, .state = {}}).total();
  if (!lines.empty() || known >= batch_.lines) return lines;
  uint64_t line = after ? *after + 1 : written;
  for (; line < batch_.lines && lines.size() < kPage; ++line) lines.push_back(line);
  return lines;
}

Result<> BatchOutput::WriteUnsent(BatchCursor& cursor, uint64_t from,
                                  const std::vector<uint64_t>& lines) {
  for (uint64_t line : lines) {
    INFERQ_TRY(cursor.Skip(line - from));
    INFERQ_ASSIGN(auto input, cursor.Next());
    if (!input) return base::Fail(Code::kDataLoss, "{} lacks lines", batch_.id);
    std::string id = fmt::format("batch_req_{:x}_{}", batch_.number.value, line);
    if (unsent_ == State::kExpired) {
      ++files_.expired;
      INFERQ_TRY(KeepForRetry(input->text));
    }
    INFERQ_TRY(errors_.Put(*blobs_, EndingLine(id, input->custom_id, unsent_, {})));
    from = line + 1;
  }
  return {};
}

Result<BatchFiles> BatchOutput::Seal() {
  INFERQ_ASSIGN(files_.output, output_.Seal(*blobs_));
  INFERQ_ASSIGN(files_.errors, errors_.Seal(*blobs_));
  INFERQ_ASSIGN(files_.retry, retry_.Seal(*blobs_));
  return files_;
}

Result<> BatchOutput::Writer::Put(blob::BlobStore& blobs, std::string_view line) {
  buffer += line;
  return buffer.size() < kBuffer ? Result<>() : Flush(blobs);
}

Result<> BatchOutput::Writer::Flush(blob::BlobStore& blobs) {
  if (buffer.empty()) return {};
  if (file.blob == 0) {
    INFERQ_ASSIGN(file.blob, blobs.Create());
  }
  INFERQ_TRY(blobs.Append(file.blob, buffer));
  file.bytes += buffer.size();
  buffer.clear();
  return {};
}

Result<BatchFiles::File> BatchOutput::Writer::Seal(blob::BlobStore& blobs) {
  INFERQ_TRY(Flush(blobs));
  if (file.blob != 0) INFERQ_TRY(blobs.Seal(file.blob));
  return file;
}

}  // namespace inferq::service
