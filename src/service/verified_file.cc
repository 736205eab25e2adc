#include "service/verified_file.h"

#include <algorithm>

namespace inferq::service {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

}  // namespace

base::Result<std::unique_ptr<VerifiedFile>> VerifiedFile::Open(base::FileSystem& fs,
                                                               std::string path) {
  INFERQ_ASSIGN(auto file, fs.Open(path, base::OpenMode::kShared));
  INFERQ_ASSIGN(uint64_t size, file->Size());
  return std::unique_ptr<VerifiedFile>(new VerifiedFile(std::move(file), size));
}

base::Result<> VerifiedFile::Put(std::string_view line) {
  INFERQ_ASSIGN(bool agrees, Agrees(line));
  if (agrees) {
    position_ += line.size();
    return {};
  }
  INFERQ_TRY(Cut());
  buffer_ += line;
  if (buffer_.size() < kChunkBytes) return {};
  return Flush();
}

// Compares with what the file holds at this place; false as soon as one byte differs or is missing.
base::Result<bool> VerifiedFile::Agrees(std::string_view line) {
  if (position_ + line.size() > existing_) return false;
  if (position_ + line.size() > window_start_ + window_.size()) {
    window_start_ = position_;
    window_.resize(std::max(line.size(), std::min<size_t>(kChunkBytes, existing_ - position_)));
    INFERQ_ASSIGN(size_t read, file_->ReadAt(position_, window_.data(), window_.size()));
    window_.resize(read);
  }
  return std::string_view(window_).substr(position_ - window_start_).starts_with(line);
}

base::Result<> VerifiedFile::Cut() {
  if (existing_ > position_) {
    repaired_ += existing_ - position_;
    INFERQ_TRY(file_->Truncate(position_));
  }
  existing_ = 0;  // nothing left to compare
  return {};
}

base::Result<> VerifiedFile::Flush() {
  INFERQ_TRY(Cut());
  INFERQ_TRY(file_->WriteAt(position_, buffer_));
  position_ += buffer_.size();
  buffer_.clear();
  return {};
}

base::Result<> VerifiedFile::Sync() {
  INFERQ_TRY(Flush());
  return file_->Sync();
}

}  // namespace inferq::service
