#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "blob/blob_store.h"
#include "service/blob_refs.h"
#include "service/service.h"

namespace inferq::service {

/// Whether the disk has too little room for anything new. Any thread.
using LowOnRoom = std::shared_ptr<const std::atomic<bool>>;

/// What a failure of the blob store is to somebody who uploads: a full disk is no fault of theirs,
/// and passes.
base::Error ForUploader(const base::Error& error);

/// The byte that tells what a text is: the first behind white space and a byte order mark; 0:
/// there is none.
char FirstByte(std::string_view text);

/// An upload as a blob under construction, removed unless kept.
class BlobUpload final : public Upload {
 public:
  BlobUpload(runtime::Runtime& home, std::shared_ptr<blob::BlobStore> blobs, blob::BlobId blob,
             LowOnRoom low_on_room)
      : home_(home), blobs_(std::move(blobs)), blob_(blob), low_on_room_(std::move(low_on_room)) {}
  ~BlobUpload() override;

  Awaitable<base::Result<>> Append(runtime::Runtime& here, std::string bytes) override;
  uint64_t size() const override { return size_; }

  blob::BlobId blob() const { return blob_; }
  /// The first byte that is no white space nor of a byte order mark; 0: there is none.
  char first() const { return first_; }
  /// What it is compressed with: "gzip", "zstd"; "": nothing that we know.
  std::string_view compression() const { return compression_; }
  /// Makes the bytes durable. On `home`.
  Awaitable<base::Result<>> Seal();
  /// A record points to it now.
  void Keep() { kept_ = true; }

 private:
  runtime::Runtime& home_;
  std::shared_ptr<blob::BlobStore> blobs_;
  const blob::BlobId blob_;
  LowOnRoom low_on_room_;
  std::atomic<uint64_t> size_ = 0;
  char first_ = 0;
  std::string_view compression_;
  bool kept_ = false;
};

/// Holds a file's blob while somebody reads it.
class BlobContent final : public Content {
 public:
  BlobContent(runtime::Runtime& home, std::shared_ptr<blob::BlobStore> blobs,
              std::shared_ptr<BlobRefs> refs, model::FileRecord file);
  ~BlobContent() override;

  const model::FileRecord& file() const override { return file_; }
  Awaitable<base::Result<std::string>> Read(runtime::Runtime& here, uint64_t offset,
                                            uint64_t length) override;

 private:
  runtime::Runtime& home_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::shared_ptr<BlobRefs> refs_;
  const model::FileRecord file_;
};

}  // namespace inferq::service
