#include "service/image_blobs.h"

#include "blob/digest.h"
#include "wire/image_blobs.h"

namespace inferq::service {

using base::Code;
using base::Fail;
using base::Result;
using model::FileRecord;

namespace {

std::unexpected<base::Error> NoSuchBlob(const std::string& id) {
  return std::unexpected(
      base::Error(Code::kNotFound, fmt::format("No such blob: {}", id)).WithParam("id"));
}

// With the id that clients use.
FileRecord Shown(FileRecord record) {
  record.id.erase(0, record.tenant.size() + 1);
  return record;
}

}  // namespace

void ImageBlobs::Adopt() {
  catalog_.ForEachFile([this](const FileRecord& file) {
    if (file.purpose != kBlobPurpose) return;
    Usage& usage = usage_[file.tenant];
    ++usage.count;
    usage.bytes += file.bytes;
    index_->Put(file.tenant, Shown(file).id, {file.blob, file.bytes});
  });
}

Awaitable<Result<FileRecord>> ImageBlobs::Put(Caller caller, std::string bytes) {
  if (wire::ImageType(bytes).empty()) {
    co_return Fail(Code::kInvalidArgument,
                   "The blob is no image that is known: PNG, JPEG, WebP and GIF are.");
  }
  auto image = std::make_shared<const std::string>(std::move(bytes));
  auto digest = [image] { return blob::Sha256Hex(*image); };
  const std::string hex = co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(digest));
  const std::string id = fmt::format("{}{}", wire::kBlobPrefix, hex);
  if (auto stored = Get(caller, id)) co_return stored;
  INFERQ_CO_TRY(Reserve(caller.tenant, image->size()));
  auto stored = co_await Store(caller.tenant, id, image);
  if (!stored || !stored->second) Release(caller.tenant, image->size());
  if (!stored) co_return std::unexpected(std::move(stored).error());
  const FileRecord& record = stored->first;
  index_->Put(caller.tenant, id, {record.blob, record.bytes});
  co_return Shown(record);
}

// Counted before it is stored, so that many at once do not pass the limit together.
Result<> ImageBlobs::Reserve(const std::string& tenant, uint64_t bytes) {
  Usage& usage = usage_[tenant];
  if (usage.count + 1 > limits_.count) {
    return Fail(Code::kResourceExhausted,
                "{} blobs are kept, as many as may be (blobs.max_count); delete some first",
                usage.count);
  }
  if (usage.bytes + bytes > limits_.bytes) {
    return Fail(Code::kResourceExhausted,
                "blobs of {} bytes are kept and {} more are too many: at most {} may be "
                "(blobs.max_bytes); delete some first",
                usage.bytes, bytes, limits_.bytes);
  }
  ++usage.count;
  usage.bytes += bytes;
  return {};
}

void ImageBlobs::Release(const std::string& tenant, uint64_t bytes) {
  Usage& usage = usage_[tenant];
  --usage.count;
  usage.bytes -= bytes;
}

Awaitable<Result<std::pair<FileRecord, bool>>> ImageBlobs::Store(
    std::string tenant, std::string id, std::shared_ptr<const std::string> image) {
  auto create = [blobs = blobs_] { return blobs->Create(); };
  auto blob = co_await runtime_.RunBlocking(runtime::kAnyLane, create);
  if (!blob) co_return std::unexpected(ForUploader(blob.error()));
  BlobUpload upload(runtime_, blobs_, *blob, low_on_room_);
  INFERQ_CO_TRY(co_await upload.Append(runtime_, *image));
  INFERQ_CO_TRY(co_await upload.Seal());
  FileRecord record{.id = ImageKey(tenant, id),
                    .sequence = 0,
                    .tenant = std::move(tenant),
                    .filename = {},
                    .purpose = std::string(kBlobPurpose),
                    .bytes = image->size(),
                    .blob = *blob,
                    .created = runtime_.clock().Wall(),
                    .expires = {}};
  bool is_new = false;
  auto put = [&record, &is_new](catalog::Transaction& transaction) -> Result<> {
    const FileRecord* same = transaction.FindFile(record.id);  // sent twice at once
    is_new = same == nullptr;
    if (is_new) record.sequence = transaction.NextSequence();
    if (is_new) transaction.Put(record);
    if (!is_new) record = *same;
    return {};
  };
  refs_->Hold(*blob);
  upload.Keep();
  auto updated = co_await catalog_.Update(std::move(put));
  if (!updated || !is_new) refs_->Drop(*blob);
  if (!updated) co_return std::unexpected(std::move(updated).error());
  co_return std::pair(std::move(record), is_new);
}

Result<FileRecord> ImageBlobs::Get(const Caller& caller, const std::string& id) const {
  const FileRecord* file = catalog_.FindFile(ImageKey(caller.tenant, id));
  // What is being deleted is gone from the index first.
  if (file == nullptr || !index_->Find(caller.tenant, id)) return NoSuchBlob(id);
  return Shown(*file);
}

Result<catalog::Page<FileRecord>> ImageBlobs::List(const Caller& caller, const std::string& after,
                                                   uint32_t limit) const {
  catalog::ListRequest request{.tenant = caller.tenant, .limit = limit};
  request.purpose = kBlobPurpose;
  if (!after.empty()) {
    INFERQ_TRY(Get(caller, after));
    request.after = ImageKey(caller.tenant, after);
  }
  INFERQ_ASSIGN(auto page, catalog_.ListFiles(request));
  for (FileRecord& record : page.records) record = Shown(std::move(record));
  return page;
}

// Lines of a batch name images until they have run; which ones, only its file tells.
Result<> ImageBlobs::CheckUnused(const Caller& caller, const std::string& id) const {
  std::string user;
  catalog_.ForEachBatch([&](const model::BatchRecord& batch) {
    bool needs = batch.status == model::BatchStatus::kValidating || batch.blob_lines > 0;
    if (batch.tenant == caller.tenant && !IsTerminal(batch.status) && needs) user = batch.id;
  });
  if (user.empty()) return {};
  return Fail(
      Code::kFailedPrecondition,
      "Cannot delete {} while batch {} lives, whose requests name blobs: wait for its end, or "
      "cancel it.",
      id, user);
}

Awaitable<Result<>> ImageBlobs::Delete(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(FileRecord record, Get(caller, id));
  INFERQ_CO_TRY(CheckUnused(caller, id));
  index_->Remove(caller.tenant, id);  // no batch that comes now finds it
  auto remove = [key = ImageKey(caller.tenant, id)](catalog::Transaction& transaction) -> Result<> {
    transaction.RemoveFile(key);
    return {};
  };
  if (auto removed = co_await catalog_.Update(std::move(remove)); !removed) {
    index_->Put(caller.tenant, id, {record.blob, record.bytes});
    co_return std::unexpected(std::move(removed).error());
  }
  Release(caller.tenant, record.bytes);
  refs_->Drop(record.blob);
  co_return Result<>{};
}

}  // namespace inferq::service
