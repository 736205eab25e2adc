#include "service/batch_results.h"

#include <algorithm>

#include "service/batch_output.h"

namespace inferq::service {

using base::Code;
using base::Result;
using model::BatchRecord;
using model::FileRecord;
using model::State;

namespace {

constexpr uint32_t kTasksAtOnce = 500;
constexpr uint64_t kPageBytes = 256u << 10;

bool Wants(ResultFilter filter, bool succeeded) {
  return filter == ResultFilter::kAll || (filter == ResultFilter::kSucceeded) == succeeded;
}

// Lines until the page is full.
struct PageMaker {
  ResultOffset at;
  uint32_t limit;
  uint64_t bytes = 0;
  std::vector<ResultLine> lines{};

  bool full() const { return lines.size() >= limit || bytes >= kPageBytes; }
  void Add(std::string line, bool succeeded) {
    (succeeded ? at.output_bytes : at.error_bytes) += line.size();
    bytes += line.size();
    lines.push_back({.text = std::move(line), .next = ToString(at)});
  }
  // The lines of tasks that ended one after the other. Blocks.
  Result<> AddTasks(blob::BlobStore& blobs, const std::vector<model::TaskRecord>& ended) {
    for (const model::TaskRecord& task : ended) {
      if (full()) break;
      at.finish_sequence = task.finish_sequence;
      bool succeeded = task.state == State::kSucceeded;
      if (!Wants(at.filter, succeeded)) continue;
      INFERQ_ASSIGN(std::string line, EndedLine(blobs, task));
      Add(std::move(line), succeeded);
    }
    return {};
  }
  // What is left of a sealed file. Blocks. @return whether it came to the file's end.
  Result<bool> AddFile(blob::BlobStore& blobs, const FileRecord& file, bool succeeded) {
    uint64_t& read = succeeded ? at.output_bytes : at.error_bytes;
    INFERQ_TRY(CheckLineBegin(blobs, file, read));
    for (uint64_t piece = kPageBytes; read < file.bytes && !full();) {
      uint64_t length = std::min(piece, file.bytes - read);
      INFERQ_ASSIGN(std::string text, blobs.Read({file.blob, read, length}));
      size_t begin = 0;
      for (size_t end; !full() && (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
        Add(text.substr(begin, end + 1 - begin), succeeded);
      }
      if (begin == 0 && length == file.bytes - read)
        return base::Fail(Code::kDataLoss, "{} ends within a line", file.id);
      piece = begin == 0 ? piece * 4 : kPageBytes;  // a long line
    }
    return read == file.bytes;
  }
  // Offsets come from outside.
  static Result<> CheckLineBegin(blob::BlobStore& blobs, const FileRecord& file, uint64_t at) {
    bool begins = at == 0;
    if (at > 0 && at <= file.bytes) {
      INFERQ_ASSIGN(std::string before, blobs.Read({file.blob, at - 1, 1}));
      begins = before == "\n";
    }
    if (begins) return {};
    return std::unexpected(
        base::Error(Code::kInvalidArgument, "Invalid 'after': no line of this batch ends there.")
            .WithParam("after"));
  }
};

ResultsPage Finish(PageMaker maker, const BatchRecord& batch, bool ended) {
  return {.lines = std::move(maker.lines),
          .next = ToString(maker.at),
          .ended = ended,
          .status = batch.status};
}

}  // namespace

const BatchRecord* BatchResults::Find(const Caller& caller, const std::string& id) const {
  const BatchRecord* batch = catalog_.FindBatch(id);
  return batch != nullptr && batch->tenant == caller.tenant ? batch : nullptr;
}

Awaitable<Result<ResultsPage>> BatchResults::Read(Caller caller, ResultsRequest request) {
  const BatchRecord* batch = Find(caller, request.id);
  if (batch == nullptr)
    co_return base::Fail(Code::kNotFound, "No batch found with id '{}'.", request.id);
  ResultOffset begin{.filter = request.filter, .batch = batch->sequence};
  INFERQ_CO_ASSIGN(ResultOffset from, ParseResultOffset(request.after, begin));
  if (!IsTerminal(batch->status)) {
    auto page = co_await ReadRunning(*batch, from, request.limit);
    if (page) co_return page;
    // What it was about to read may have been removed, for the batch's files are written now.
    batch = Find(caller, request.id);
    if (batch == nullptr || !IsTerminal(batch->status)) co_return page;
  }
  co_return co_await ReadEnded(*batch, from, request.limit);
}

Awaitable<Result<ResultsPage>> BatchResults::ReadRunning(BatchRecord batch, ResultOffset from,
                                                         uint32_t limit) {
  auto maker = std::make_shared<PageMaker>(PageMaker{.at = from, .limit = limit});
  queue::QueryRequest request{.filter = {.tenant = {}, .batch = batch.number, .state = {}},
                              .after = from.finish_sequence,
                              .order = queue::QueryRequest::Order::kFinishSequence,
                              .limit = std::min(limit, kTasksAtOnce)};
  for (bool more = true; more && maker->lines.empty();) {
    INFERQ_CO_ASSIGN(auto ended, co_await queue_.Query(request));
    more = ended.size() == request.limit;
    if (ended.empty()) break;
    request.after = ended.back().finish_sequence;
    auto add = [maker, blobs = blobs_, ended = std::move(ended)] {
      return maker->AddTasks(*blobs, ended);
    };
    INFERQ_CO_TRY(co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(add)));
  }
  co_return Finish(std::move(*maker), batch, false);
}

Awaitable<Result<ResultsPage>> BatchResults::ReadEnded(BatchRecord batch, ResultOffset from,
                                                       uint32_t limit) {
  auto maker = std::make_shared<PageMaker>(PageMaker{.at = from, .limit = limit});
  for (bool succeeded : {true, false}) {
    const std::string& id = succeeded ? batch.output_file_id : batch.error_file_id;
    if (id.empty() || !Wants(from.filter, succeeded)) continue;
    const FileRecord* file = catalog_.FindFile(id);
    if (file == nullptr || file->removed) {
      co_return base::Fail(Code::kNotFound, "The {} file of batch '{}' was deleted.",
                           succeeded ? "output" : "error", batch.id);
    }
    auto add = [maker, blobs = blobs_, file = *file, succeeded] {
      return maker->AddFile(*blobs, file, succeeded);
    };
    blob::BlobId blob = file->blob;
    refs_.Hold(blob);
    auto whole = co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(add));
    refs_.Drop(blob);
    INFERQ_CO_TRY(whole);
    if (!*whole) co_return Finish(std::move(*maker), batch, false);
  }
  co_return Finish(std::move(*maker), batch, true);
}

}  // namespace inferq::service
