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

}  // namespace

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

namespace {

// Cuts a text at a character's end.
void Shorten(std::string& text, size_t most) {
  if (text.size() <= most) return;
  while (most > 0 && (text[most] & 0xC0) == 0x80) --most;
  text.resize(most);
  text += "…";
}

}  // namespace

void ShortenProblem(model::BatchProblem& problem) {
  Shorten(problem.message, kLongestMessage);
  Shorten(problem.param, kLongestParam);
}

Result<std::unique_ptr<BatchValidator>> BatchValidator::Open(std::shared_ptr<blob::BlobStore> blobs,
                                                             blob::BlobId blob, BatchRules rules) {
  INFERQ_ASSIGN(uint64_t size, blobs->Size(blob));
  if (size > rules.max_bytes) {
    return base::Fail(Code::kInvalidArgument,
                      "The file has {} bytes; one that is run as a batch may have {}.", size,
                      rules.max_bytes);
  }
  ingest::SourceOptions options{.format = ingest::Format::kBatch,
                                .batch_endpoint = rules.endpoint,
                                .find_repeats = false,
                                .survey = true};
  std::unique_ptr<BatchValidator> validator(new BatchValidator(blobs, std::move(rules)));
  INFERQ_ASSIGN(validator->source_,
                ingest::LineSource::Open(ReadFrom(std::move(blobs), blob, validator->begin_),
                                         std::move(options)));
  return validator;
}

Result<bool> BatchValidator::Step(uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) {
    INFERQ_ASSIGN(std::optional<ingest::Item> item, source_->Next());
    if (!item) {
      if (survey_.lines == 0) Report({"empty_file", "The file holds no requests.", "", {}});
      INFERQ_TRY(Finish());
      return false;
    }
    if (++survey_.lines > rules_.max_lines) {
      Report({"too_many_lines",
              fmt::format("The file has more than {} requests, the most that one batch may have.",
                          rules_.max_lines),
              "",
              {}});
      INFERQ_TRY(Finish());
      return false;
    }
    if (auto* line = std::get_if<ingest::Line>(&*item)) {
      INFERQ_TRY(Look(*line));
    } else {
      auto& bad = std::get<ingest::BadLine>(*item);
      Report({std::move(bad.code), std::move(bad.message), std::move(bad.param), bad.number});
    }
  }
  return true;
}

// The index is durable, or gone where the batch will not run.
Result<> BatchValidator::Finish() {
  if (survey_.inputs > rules_.max_inputs) {
    Report({"too_many_inputs",
            fmt::format("The file has {} embedding inputs; one batch may have {}.", survey_.inputs,
                        rules_.max_inputs),
            "",
            {}});
  }
  INFERQ_TRY(ReportRepeats());
  if (!survey_.problems.empty()) return index_.Discard();
  INFERQ_ASSIGN(survey_.index, index_.Seal());
  return {};
}

// They are known last, and go among the others by their line.
Result<> BatchValidator::ReportRepeats() {
  INFERQ_ASSIGN(RepeatedIds::Found found, ids_.Finish(rules_.max_problems));
  survey_.bad_lines += found.count;
  auto& problems = survey_.problems;
  for (const RepeatedIds::Repeat& repeat : found.repeats) {
    problems.push_back(
        {"duplicate_custom_id",
         fmt::format("The custom_id of this line occurs twice: first on line {}.", repeat.first),
         "custom_id", repeat.line});
  }
  // Problems of the file as a whole, without a line, stay behind.
  std::ranges::sort(problems, {}, [](const model::BatchProblem& problem) {
    return std::pair(problem.line.value_or(UINT64_MAX), problem.code);
  });
  Trim();
  return {};
}

// What is not listed is at least counted.
void BatchValidator::Trim() {
  auto& problems = survey_.problems;
  if (problems.size() > rules_.max_problems) problems.resize(rules_.max_problems);
  if (survey_.bad_lines == problems.size()) return;
  problems.push_back({"too_many_errors",
                      fmt::format("{} more errors are not listed; the first {} are.",
                                  survey_.bad_lines - problems.size(), problems.size()),
                      "",
                      {}});
}

Result<> BatchValidator::Abandon() {
  INFERQ_TRY(ids_.Discard());
  return index_.Discard();
}

uint32_t BatchValidator::LaneOf(const std::string& model) {
  auto [lane, is_new] = lanes_.try_emplace(model, static_cast<uint32_t>(survey_.models.size()));
  if (is_new) survey_.models.push_back(model);
  return lane->second;
}

Result<> BatchValidator::Look(const ingest::Line& line) {
  INFERQ_TRY(ids_.Add(line.custom_id, line.number));
  uint64_t cost = CostOf(line.survey);
  survey_.cost += cost;
  survey_.prompt_tokens += line.survey.tokens;
  survey_.inputs += line.survey.inputs;
  if (survey_.problems.empty()) {
    INFERQ_TRY(index_.Add({.offset = *begin_ + line.offset,
                           .length = static_cast<uint32_t>(line.length),
                           .cost = static_cast<uint32_t>(std::min<uint64_t>(cost, UINT32_MAX)),
                           .lane = LaneOf(line.model),
                           .locality = line.survey.locality}));
  }
  if (!rules_.offers_model(line.model)) {
    Report({"model_not_found",
            fmt::format("The provided model '{}' is not supported by the Batch API.", line.model),
            "body.model", line.number});
  }
  if (!line.blobs.empty()) LookAtImages(line);
  if (survey_.one_model && survey_.model.empty()) survey_.model = line.model;
  if (line.model != survey_.model) {
    survey_.one_model = false;
    survey_.model.clear();
  }
  return {};
}

void BatchValidator::LookAtImages(const ingest::Line& line) {
  ++survey_.blob_lines;
  auto problem = rules_.image_problem(line.blobs, line.length);
  if (!problem) return;
  problem->line = line.number;
  Report(*std::move(problem));
}

void BatchValidator::Report(model::BatchProblem problem) {
  ++survey_.bad_lines;
  ShortenProblem(problem);
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
    : input_(ReadFrom(std::move(blobs), blob, std::make_shared<uint64_t>(0))),
      reader_(input_, ingest::SourceOptions{}.max_item_bytes) {}

Result<> BatchCursor::Skip(uint64_t lines) {
  for (; lines > 0; --lines) {
    INFERQ_ASSIGN(auto raw, reader_.Next());
    if (!raw) return base::Fail(Code::kDataLoss, "the input has {} lines too few", lines);
  }
  return {};
}

Result<std::optional<StoredLine>> BatchCursor::Next() {
  INFERQ_ASSIGN(auto raw, reader_.Next());
  if (!raw) return std::nullopt;
  auto parsed = wire::ParseBatchLine(raw->text, {});
  if (!parsed) {
    return base::Fail(Code::kDataLoss, "line {} of a validated file is damaged: {}", raw->number,
                      parsed.error().message);
  }
  return StoredLine{std::move(parsed->custom_id), raw->text};
}

}  // namespace inferq::service
