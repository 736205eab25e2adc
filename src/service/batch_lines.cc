#include "service/batch_lines.h"

#include <algorithm>

#include "service/estimate.h"
#include "wire/batch_line.h"

namespace inferq::service {

using base::Code;
using base::Result;

namespace {

constexpr size_t kReadAhead = size_t{1} << 20;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
// What a problem may quote of a client's text, in bytes.
constexpr size_t kLongestMessage = 500;
constexpr size_t kLongestParam = 200;

// The bytes of a blob, in order.
// @param begin  the bytes in front of it are left out; a byte order mark there moves it.
ingest::ReadBytes ReadFrom(std::shared_ptr<blob::BlobStore> blobs, blob::BlobId blob,
                           std::shared_ptr<uint64_t> begin) {
  auto offset = std::make_shared<uint64_t>(0);
  return [blobs = std::move(blobs), blob, begin, offset](char* out, size_t size) -> Result<size_t> {
    INFERQ_ASSIGN(uint64_t end, blobs->Size(blob));
    if (*offset == 0 && end >= kByteOrderMark.size()) {
      INFERQ_ASSIGN(std::string first, blobs->Read({blob, 0, kByteOrderMark.size()}));
      if (first == kByteOrderMark) *begin = *offset = first.size();
    }
    uint64_t length = std::min<uint64_t>({end - *offset, size, kReadAhead});
    INFERQ_ASSIGN(std::string bytes, blobs->Read({blob, *offset, length}));
    std::ranges::copy(bytes, out);
    *offset += length;
    return bytes.size();
  };
}

// Cuts a text at a character's end.
void Shorten(std::string& text, size_t most) {
  if (text.size() <= most) return;
  while (most > 0 && (text[most] & 0xC0) == 0x80) --most;
  text.resize(most);
  text += "…";
}

}  // namespace

Result<std::unique_ptr<BatchValidator>> BatchValidator::Open(std::shared_ptr<blob::BlobStore> blobs,
                                                             blob::BlobId blob, BatchRules rules) {
  ingest::SourceOptions options{
      .format = ingest::Format::kBatch, .batch_endpoint = rules.endpoint, .survey = true};
  std::unique_ptr<BatchValidator> validator(new BatchValidator(std::move(rules)));
  INFERQ_ASSIGN(
      validator->source_,
      ingest::LineSource::Open(ReadFrom(std::move(blobs), blob, std::make_shared<uint64_t>(0)),
                               std::move(options)));
  return validator;
}

Result<bool> BatchValidator::Step(uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) {
    INFERQ_ASSIGN(std::optional<ingest::Item> item, source_->Next());
    if (!item) {
      if (survey_.lines == 0) Report({"empty_file", "The file holds no requests.", "", {}});
      return false;
    }
    if (++survey_.lines > rules_.max_lines) {
      Report({"too_many_lines",
              fmt::format("The file has more than {} requests, the most that one batch may have.",
                          rules_.max_lines),
              "",
              {}});
      return false;
    }
    if (auto* line = std::get_if<ingest::Line>(&*item)) {
      Look(*line);
    } else {
      auto& bad = std::get<ingest::BadLine>(*item);
      Report({std::move(bad.code), std::move(bad.message), std::move(bad.param), bad.number});
    }
  }
  return true;
}

void BatchValidator::Look(const ingest::Line& line) {
  survey_.cost += CostOf(line.survey);
  if (!rules_.offers_model(line.model)) {
    Report({"model_not_found",
            fmt::format("The provided model '{}' is not supported by the Batch API.", line.model),
            "body.model", line.number});
  }
  if (survey_.one_model && survey_.model.empty()) survey_.model = line.model;
  if (line.model != survey_.model) {
    survey_.one_model = false;
    survey_.model.clear();
  }
}

void BatchValidator::Report(model::BatchProblem problem) {
  ++survey_.bad_lines;
  Shorten(problem.message, kLongestMessage);
  Shorten(problem.param, kLongestParam);
  if (survey_.problems.size() < rules_.max_problems) survey_.problems.push_back(std::move(problem));
}

Result<std::string> CustomIdOf(blob::BlobStore& blobs, const model::Extent& line) {
  auto text = blobs.Read(line);
  bool gone =
      !text && (text.error().code() == Code::kDataLoss || text.error().code() == Code::kNotFound);
  if (gone) return std::string();
  INFERQ_TRY(text);
  auto parsed = wire::ParseBatchLine(*text, {});
  return parsed ? std::move(parsed->custom_id) : std::string();
}

BatchCursor::BatchCursor(std::shared_ptr<blob::BlobStore> blobs, blob::BlobId blob)
    : blob_(blob),
      input_(ReadFrom(std::move(blobs), blob, begin_)),
      reader_(input_, ingest::SourceOptions{}.max_item_bytes) {}

Result<> BatchCursor::Skip(uint64_t lines) {
  for (; lines > 0; --lines) {
    INFERQ_ASSIGN(auto raw, reader_.Next());
    if (!raw) return base::Fail(Code::kDataLoss, "the input has {} lines too few", lines);
  }
  return {};
}

Result<std::vector<BatchRequestLine>> BatchCursor::Next(uint64_t n) {
  std::vector<BatchRequestLine> lines;
  while (lines.size() < n) {
    INFERQ_ASSIGN(auto raw, reader_.Next());
    if (!raw) break;
    auto parsed = wire::ParseBatchLine(raw->text, {});
    if (!parsed) {
      return base::Fail(Code::kDataLoss, "line {} of a validated file is damaged: {}", raw->number,
                        parsed.error().message);
    }
    BatchRequestLine line;
    line.custom_id = std::move(parsed->custom_id);
    auto model = parsed->body.Find("model");
    line.spec.lane = model ? model->AsString().value_or("") : "";
    line.spec.payload = {blob_, *begin_ + raw->offset, raw->length};
    EstimateCost(line.spec, parsed->body);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace inferq::service
