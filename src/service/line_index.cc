#include "service/line_index.h"

#include <algorithm>

namespace inferq::service {

using base::Result;

namespace {

constexpr size_t kBuffer = size_t{1} << 20;

}  // namespace

Result<> LineIndexWriter::Add(const queue::LineInfo& line) {
  queue::EncodeLine(line, buffer_);
  return buffer_.size() < kBuffer ? Result<>() : Flush();
}

Result<> LineIndexWriter::Flush() {
  if (blob_ == 0) {
    INFERQ_ASSIGN(blob_, blobs_.Create());
  }
  INFERQ_TRY(blobs_.Append(blob_, buffer_));
  buffer_.clear();
  return {};
}

Result<blob::BlobId> LineIndexWriter::Seal() {
  INFERQ_TRY(Flush());
  INFERQ_TRY(blobs_.Seal(blob_));
  return blob_;
}

Result<> LineIndexWriter::Discard() {
  buffer_.clear();
  return blob_ == 0 ? Result<>() : blobs_.Delete(std::exchange(blob_, 0));
}

queue::ReadLines ReadLinesFrom(std::shared_ptr<blob::BlobStore> blobs) {
  return [blobs = std::move(blobs)](uint64_t index, uint64_t first,
                                    uint32_t count) -> Result<std::vector<queue::LineInfo>> {
    INFERQ_ASSIGN(uint64_t size, blobs->Size(index));
    uint64_t begin = std::min(first * queue::kLineInfoBytes, size);
    uint64_t length = std::min<uint64_t>(uint64_t{count} * queue::kLineInfoBytes, size - begin);
    INFERQ_ASSIGN(std::string bytes, blobs->Read({index, begin, length}));
    return queue::DecodeLines(bytes);
  };
}

}  // namespace inferq::service
