#include "service/line_reader.h"

#include <algorithm>

#include "service/estimate.h"
#include "wire/json.h"
#include "wire/locality.h"

namespace inferq::service {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

bool NamesTheRow(const std::string& column) { return column == "id" || column == "custom_id"; }

}  // namespace

base::Result<std::string> HashOfFile(base::FileSystem& fs, const std::string& path) {
  INFERQ_ASSIGN(auto file, fs.Open(path, base::OpenMode::kRead));
  wire::Hash128 hash;
  std::string chunk;
  for (uint64_t offset = 0;; offset += chunk.size()) {
    chunk.resize(kChunkBytes);
    INFERQ_ASSIGN(size_t read, file->ReadAt(offset, chunk.data(), chunk.size()));
    chunk.resize(read);
    if (read == 0) return fmt::format("{} bytes, {:016x}{:016x}", offset, hash.high, hash.low);
    // Each chunk's hash covers the one before.
    chunk.append(reinterpret_cast<const char*>(&hash), sizeof hash);
    hash = wire::HashBytes(chunk);
    chunk.resize(read);
  }
}

base::Result<std::unique_ptr<LineReader>> LineReader::Open(base::FileSystem& fs,
                                                           const std::string& path,
                                                           ingest::SourceOptions options,
                                                           blob::BlobStore& blobs) {
  INFERQ_ASSIGN(auto file, fs.Open(path, base::OpenMode::kRead));
  std::unique_ptr<LineReader> reader(new LineReader(std::move(file), blobs));
  reader->keep_columns_ = options.keep_columns;
  INFERQ_ASSIGN(reader->source_,
                ingest::LineSource::Open(ingest::ReadFrom(*reader->file_), std::move(options)));
  reader->add_custom_id_ = std::ranges::none_of(reader->source_->columns(), NamesTheRow);
  INFERQ_ASSIGN(reader->blob_, blobs.Create());
  return reader;
}

base::Result<std::vector<ingest::BadLine>> LineReader::ReadSome(uint64_t n) {
  std::vector<ingest::BadLine> bad;
  for (uint64_t i = 0; i < n && !at_end_; ++i) {
    INFERQ_ASSIGN(std::optional<ingest::Item> item, source_->Next());
    if (!item) {
      at_end_ = true;
    } else if (auto* line = std::get_if<ingest::Line>(&*item)) {
      INFERQ_TRY(Store(Convert(std::move(*line))));
    } else {
      auto& wrong = std::get<ingest::BadLine>(*item);
      std::string id =
          wrong.custom_id.empty() ? fmt::format("line-{}", wrong.number) : wrong.custom_id;
      // A repeated custom_id is another line's: the errors file must not hold it twice.
      if (wrong.code == "duplicate_custom_id") id = fmt::format("line-{}", wrong.number);
      INFERQ_TRY(Store({.custom_id = id,
                        .line = wrong.number,
                        .request = {},
                        .columns = {},
                        .bad_code = wrong.code,
                        .bad_message = wrong.message}));
      ++bad_lines_;
      bad.push_back(std::move(wrong));
    }
  }
  return bad;
}

RunLine LineReader::Convert(ingest::Line line) const {
  RunLine out{.custom_id = line.custom_id,
              .line = line.number,
              .request = std::move(line.json),
              .columns = {},
              .bad_code = {},
              .bad_message = {}};
  if (!keep_columns_) return out;
  out.columns = std::move(line.columns);
  if (add_custom_id_) out.columns.insert(out.columns.begin(), std::move(line.custom_id));
  return out;
}

base::Result<> LineReader::Store(RunLine line) {
  std::string text = EncodeRunLine(line);
  queue::LineInfo info = InfoOf(line, {blob_, stored_, text.size()});
  INFERQ_TRY(index_.Add(info));
  buffer_ += text;
  stored_ += text.size();
  cost_ += info.cost;
  ++lines_;
  if (buffer_.size() < kChunkBytes) return {};
  return Flush();
}

base::Result<> LineReader::Flush() {
  if (!buffer_.empty()) INFERQ_TRY(blobs_.Append(blob_, buffer_));
  buffer_.clear();
  return {};
}

base::Result<RunManifest> LineReader::Seal() {
  INFERQ_TRY(Flush());
  INFERQ_TRY(blobs_.Seal(blob_));
  RunManifest manifest;
  manifest.lines_blob = blob_;
  INFERQ_ASSIGN(manifest.index_blob, index_.Seal());
  manifest.cost = cost_;
  manifest.lines = lines_;
  manifest.bad_lines = bad_lines_;
  manifest.columns = source_->columns();
  if (add_custom_id_) manifest.columns.insert(manifest.columns.begin(), "custom_id");
  return manifest;
}

queue::LineInfo InfoOf(const RunLine& line, const model::Extent& extent) {
  queue::LineInfo info{.offset = extent.offset, .length = static_cast<uint32_t>(extent.length)};
  auto request = wire::ParseJson(line.request);
  auto body = request ? request->Find("body") : std::nullopt;
  if (!body) return info;
  wire::PromptSurvey survey = wire::SurveyPrompt(*body);
  info.cost = static_cast<uint32_t>(std::min<uint64_t>(CostOf(survey), UINT32_MAX));
  info.locality = survey.locality;
  return info;
}

base::Result<blob::BlobId> IndexLines(blob::BlobStore& blobs, blob::BlobId lines) {
  LineCursor cursor(blobs, lines);
  LineIndexWriter index(blobs);
  constexpr uint64_t kAtOnce = 1000;
  while (true) {
    INFERQ_ASSIGN(auto some, cursor.Next(kAtOnce));
    if (some.empty()) return index.Seal();
    for (const StoredLine& line : some) INFERQ_TRY(index.Add(InfoOf(line.line, line.extent)));
  }
}

base::Result<> LineCursor::Skip(uint64_t lines) {
  for (uint64_t i = 0; i < lines; ++i) {
    INFERQ_ASSIGN(auto extent, NextExtent());
    if (!extent) return base::Fail(base::Code::kDataLoss, "the store lacks line {}", i);
  }
  return {};
}

base::Result<std::vector<StoredLine>> LineCursor::Next(uint64_t n) {
  std::vector<StoredLine> lines;
  while (lines.size() < n) {
    INFERQ_ASSIGN(auto extent, NextExtent());
    if (!extent) break;
    INFERQ_ASSIGN(RunLine line, DecodeRunLine(TextOf(*extent)));
    lines.push_back({std::move(line), *extent});
  }
  return lines;
}

base::Result<std::optional<model::Extent>> LineCursor::NextExtent() {
  size_t end;
  while ((end = window_.find('\n', position_ - window_start_)) == window_.npos) {
    INFERQ_ASSIGN(bool more, Refill());
    if (!more) return std::nullopt;
  }
  uint64_t begin = std::exchange(position_, window_start_ + end + 1);
  return model::Extent{.blob = blob_, .offset = begin, .length = position_ - begin};
}

std::string_view LineCursor::TextOf(const model::Extent& extent) const {
  return std::string_view(window_).substr(extent.offset - window_start_, extent.length);
}

// Drops what is behind us and reads the next chunk. @return false at the end of the blob.
base::Result<bool> LineCursor::Refill() {
  window_.erase(0, position_ - window_start_);
  window_start_ = position_;
  uint64_t from = window_start_ + window_.size();
  INFERQ_ASSIGN(uint64_t size, blobs_.Size(blob_));
  uint64_t wanted = std::min<uint64_t>(kChunkBytes, size - from);
  if (wanted == 0) return false;
  INFERQ_ASSIGN(std::string more, blobs_.Read({.blob = blob_, .offset = from, .length = wanted}));
  window_ += more;
  return true;
}

}  // namespace inferq::service
