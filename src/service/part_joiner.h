#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blob/blob_store.h"
#include "blob/md5.h"
#include "model/upload.h"

namespace inferq::service {

/// Puts an upload's parts behind one another into one blob, a few MiB at a time. A single part's
/// blob will do as it is; of it no more is read than is asked for. Blocks; one thread at a time.
///
/// Order: Step ... -> Seal or Discard.
class PartJoiner {
 public:
  static constexpr uint64_t kPiece = 4u << 20;  ///< Bytes of a step, and of the memory it takes.

  /// @param with_sum  the bytes' MD5 is wanted.
  PartJoiner(std::shared_ptr<blob::BlobStore> blobs, std::vector<model::UploadPart> parts,
             bool with_sum);
  /// Reads and writes the next piece. @return whether there is more.
  base::Result<bool> Step();

  /// Of all bytes, once they were read.
  struct Joined {
    blob::BlobId blob = 0;  ///< Sealed.
    uint64_t bytes = 0;
    char first = 0;   ///< See FirstByte.
    std::string md5;  ///< "": not wanted.
  };
  /// Makes the blob durable. After the last step.
  base::Result<Joined> Seal();
  /// Removes what was written.
  base::Result<> Discard();

 private:
  bool copies() const { return parts_.size() > 1; }
  void Look(std::string_view bytes);

  const std::shared_ptr<blob::BlobStore> blobs_;
  const std::vector<model::UploadPart> parts_;
  size_t part_ = 0;
  uint64_t offset_ = 0;  // in that part
  blob::BlobId made_ = 0;
  Joined joined_;
  std::optional<blob::Md5> sum_;
};

}  // namespace inferq::service
