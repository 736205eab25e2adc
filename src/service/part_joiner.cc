#include "service/part_joiner.h"

#include <algorithm>

#include "service/file_bytes.h"

namespace inferq::service {

using base::Result;

PartJoiner::PartJoiner(std::shared_ptr<blob::BlobStore> blobs, std::vector<model::UploadPart> parts,
                       bool with_sum)
    : blobs_(std::move(blobs)), parts_(std::move(parts)) {
  if (with_sum) sum_.emplace();
  for (const model::UploadPart& part : parts_) joined_.bytes += part.bytes;
}

void PartJoiner::Look(std::string_view bytes) {
  if (sum_) sum_->Add(bytes);
  if (joined_.first == 0) joined_.first = FirstByte(bytes);
}

Result<bool> PartJoiner::Step() {
  if (part_ == parts_.size()) return false;
  const model::UploadPart& part = parts_[part_];
  uint64_t length = std::min(part.bytes - offset_, kPiece);
  INFERQ_ASSIGN(std::string bytes, blobs_->Read({part.blob, offset_, length}));
  if (copies()) {
    if (made_ == 0) {
      INFERQ_ASSIGN(made_, blobs_->Create());
    }
    INFERQ_TRY(blobs_->Append(made_, bytes));
  }
  Look(bytes);
  if (!copies() && !sum_ && joined_.first != 0) return false;  // all is known of it
  offset_ += length;
  if (offset_ == part.bytes) {
    ++part_;
    offset_ = 0;
  }
  return part_ < parts_.size();
}

Result<PartJoiner::Joined> PartJoiner::Seal() {
  if (sum_) {
    INFERQ_ASSIGN(joined_.md5, sum_->Finish());
  }
  joined_.blob = copies() ? made_ : parts_.front().blob;
  if (copies()) INFERQ_TRY(blobs_->Seal(made_));
  return joined_;
}

Result<> PartJoiner::Discard() { return made_ == 0 ? Result<>() : blobs_->Delete(made_); }

}  // namespace inferq::service
