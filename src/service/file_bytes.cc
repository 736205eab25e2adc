#include "service/file_bytes.h"

namespace inferq::service {

using base::Code;

namespace {

// By the magic number in front.
std::string_view CompressionOf(std::string_view text) {
  if (text.starts_with("\x1F\x8B")) return "gzip";
  return text.starts_with("\x28\xB5\x2F\xFD") ? "zstd" : "";
}

base::Error DiskIsFull() {
  return base::Error(Code::kUnavailable, "The disk of the server is full; try again later.")
      .WithRetryAfter(std::chrono::seconds(5));
}

}  // namespace

char FirstByte(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  size_t at = text.find_first_not_of(" \t\r\n");
  return at == text.npos ? '\0' : text[at];
}

base::Error ForUploader(const base::Error& error) {
  if (error.code() == Code::kResourceExhausted) return DiskIsFull();
  // The store was opened anew meanwhile, which drops what was not finished.
  if (error.code() == Code::kNotFound)
    return base::Error(Code::kUnavailable, "The upload was interrupted; send it again.");
  return error;
}

BlobUpload::~BlobUpload() {
  if (kept_) return;
  auto remove = [blobs = blobs_, blob = blob_] { (void)blobs->Delete(blob); };
  home_.PostBlocking(runtime::kAnyLane, remove, [] {});
}

Awaitable<base::Result<>> BlobUpload::Append(runtime::Runtime& here, std::string bytes) {
  if (*low_on_room_) co_return std::unexpected(DiskIsFull());
  if (size_ == 0) compression_ = CompressionOf(bytes);
  if (first_ == 0) first_ = FirstByte(bytes);
  uint64_t added = bytes.size();
  auto append = [blobs = blobs_, blob = blob_, text = std::move(bytes)] {
    return blobs->Append(blob, text);
  };
  auto appended = co_await here.RunBlocking(runtime::kAnyLane, std::move(append));
  if (!appended) co_return std::unexpected(ForUploader(appended.error()));
  size_ += added;
  co_return base::Result<>{};
}

Awaitable<base::Result<>> BlobUpload::Seal() {
  auto seal = [blobs = blobs_, blob = blob_] { return blobs->Seal(blob); };
  auto sealed = co_await home_.RunBlocking(runtime::kAnyLane, seal);
  if (!sealed) co_return std::unexpected(ForUploader(sealed.error()));
  co_return base::Result<>{};
}

BlobContent::BlobContent(runtime::Runtime& home, std::shared_ptr<blob::BlobStore> blobs,
                         std::shared_ptr<BlobRefs> refs, model::FileRecord file)
    : home_(home), blobs_(std::move(blobs)), refs_(std::move(refs)), file_(std::move(file)) {
  refs_->Hold(file_.blob);
}

// On any thread; the count belongs to the strand.
BlobContent::~BlobContent() {
  home_.Post([refs = std::move(refs_), blob = file_.blob] { refs->Drop(blob); });
}

Awaitable<base::Result<std::string>> BlobContent::Read(runtime::Runtime& here, uint64_t offset,
                                                       uint64_t length) {
  auto read = [blobs = blobs_, extent = model::Extent{file_.blob, offset, length}] {
    return blobs->Read(extent);
  };
  co_return co_await here.RunBlocking(runtime::kAnyLane, read);
}

}  // namespace inferq::service
