#include "service/row_lines.h"

#include "service/batch_lines.h"
#include "wire/chat.h"

namespace inferq::service {

using base::Result;

namespace {

constexpr size_t kBuffer = 1u << 20;

}  // namespace

ingest::SourceOptions RowSource(const model::BatchRecord& batch) {
  const wire::Endpoint endpoint = *wire::ParseEndpoint(batch.endpoint);
  return {.format = ingest::ParseFormat(batch.rows.format).value_or(ingest::Format::kAuto),
          .model = batch.rows.model,
          .batch_endpoint = endpoint,
          .row = {.prompt_template = batch.rows.prompt_template,
                  .system = batch.rows.system,
                  .extra_body = batch.rows.body,
                  .endpoint = endpoint},
          .find_repeats = false};  // those who read the lines look for them
}

Result<std::unique_ptr<RowLines>> RowLines::Open(std::shared_ptr<blob::BlobStore> blobs,
                                                 blob::BlobId input, ingest::SourceOptions options,
                                                 Limits limits) {
  std::unique_ptr<RowLines> rows(new RowLines(blobs, limits));
  auto begin = std::make_shared<uint64_t>(0);
  INFERQ_ASSIGN(rows->source_, ingest::LineSource::Open(ReadFrom(blobs, input, std::move(begin)),
                                                        std::move(options)));
  INFERQ_ASSIGN(rows->lines_, blobs->Create());
  return rows;
}

Result<bool> RowLines::Step(uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) {
    INFERQ_ASSIGN(std::optional<ingest::Item> item, source_->Next());
    if (!item) return false;
    if (++rows_ > limits_.lines) {
      Report({"too_many_lines",
              fmt::format("The file has more than {} rows, the most that one batch may have.",
                          limits_.lines),
              "",
              {}});
      return false;
    }
    if (auto* line = std::get_if<ingest::Line>(&*item)) {
      INFERQ_TRY(Add(line->json));
    } else {
      auto& bad = std::get<ingest::BadLine>(*item);
      Report({std::move(bad.code), std::move(bad.message), std::move(bad.param), bad.number});
    }
  }
  return true;
}

Result<> RowLines::Add(const std::string& line) {
  if (!problems_.empty()) return {};
  buffer_.append(line).push_back('\n');
  return buffer_.size() < kBuffer ? Result<>{} : Flush();
}

Result<> RowLines::Flush() {
  if (!buffer_.empty()) INFERQ_TRY(blobs_->Append(lines_, buffer_));
  buffer_.clear();
  return {};
}

void RowLines::Report(model::BatchProblem problem) {
  ShortenProblem(problem);
  if (problems_.size() < limits_.problems) problems_.push_back(std::move(problem));
}

Result<blob::BlobId> RowLines::Finish() {
  if (rows_ == 0) Report({"empty_file", "The file holds no rows.", "", {}});
  if (!problems_.empty()) {
    INFERQ_TRY(Abandon());
    return blob::BlobId{0};
  }
  INFERQ_TRY(Flush());
  INFERQ_TRY(blobs_->Seal(lines_));
  return lines_;
}

Result<> RowLines::Abandon() { return blobs_->Delete(lines_); }

}  // namespace inferq::service
