#include "client/file_upload.h"

#include <fmt/format.h>

#include <algorithm>

namespace inferq::client {

using base::Code;
using base::Fail;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr size_t kPiece = 256u << 10;

// As browsers do in a form's file names.
std::string Quotable(const std::string& name) {
  std::string out;
  for (char c : name) {
    if (c == '"' || static_cast<unsigned char>(c) < ' ') {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

Result<std::string> ReadPiece(base::File& file, uint64_t offset, size_t size) {
  std::string piece(size, '\0');
  INFERQ_ASSIGN(size_t got, file.ReadAt(offset, piece.data(), size));
  if (got == 0) {
    return Fail(Code::kDataLoss, "the file became shorter than {} bytes while it was sent",
                offset + size);
  }
  piece.resize(got);
  return piece;
}

}  // namespace

FileUpload::FileUpload(runtime::Runtime& runtime, std::shared_ptr<base::File> file, uint64_t size,
                       const std::string& filename, const std::string& purpose,
                       const std::string& boundary, OnBytes on_bytes)
    : runtime_(runtime), file_(std::move(file)), file_size_(size), on_bytes_(std::move(on_bytes)) {
  head_ = fmt::format(
      "--{0}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{1}\r\n"
      "--{0}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{2}\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n",
      boundary, purpose, Quotable(filename));
  tail_ = fmt::format("\r\n--{}--\r\n", boundary);
}

Awaitable<Result<std::string>> FileUpload::Next() {
  if (part_ == Part::kHead) {
    part_ = file_size_ > 0 ? Part::kFile : Part::kTail;
    co_return head_;
  }
  if (part_ == Part::kTail) co_return tail_;
  auto size = static_cast<size_t>(std::min<uint64_t>(kPiece, file_size_ - offset_));
  auto read = [file = file_, offset = offset_, size] { return ReadPiece(*file, offset, size); };
  INFERQ_CO_ASSIGN(std::string piece,
                   co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(read)));
  offset_ += piece.size();
  if (offset_ == file_size_) part_ = Part::kTail;
  if (on_bytes_) on_bytes_(offset_, file_size_);
  co_return std::move(piece);
}

bool FileUpload::Restart() {
  offset_ = 0;
  part_ = Part::kHead;
  return true;
}

}  // namespace inferq::client
