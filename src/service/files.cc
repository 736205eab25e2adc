#include "service/files.h"

#include <algorithm>

#include "service/image_index.h"

namespace inferq::service {

using base::Code;
using model::FileRecord;

namespace {

std::unexpected<base::Error> NoSuchFile(const std::string& id) {
  return std::unexpected(
      base::Error(Code::kNotFound, fmt::format("No such File object: {}", id)).WithParam("id"));
}

base::Error BadUpload(std::string message) {
  return base::Error(Code::kInvalidArgument, std::move(message)).WithParam("file");
}

// What stays of a deleted file.
FileRecord PlaceOf(const FileRecord& file, base::WallTime now) {
  constexpr base::Micros kKept = std::chrono::hours(1);
  FileRecord place;
  place.id = file.id;
  place.sequence = file.sequence;
  place.tenant = file.tenant;
  place.expires = now + kKept;
  place.removed = true;
  return place;
}

// By its name, which says that it holds no requests but rows of which a batch makes them.
bool HoldsRows(std::string_view filename) {
  constexpr std::string_view kEndings[] = {".csv", ".tsv", ".json"};
  return std::ranges::any_of(kEndings,
                             [&](std::string_view ending) { return filename.ends_with(ending); });
}

base::Error NotJsonLines(std::string_view compression) {
  std::string message =
      "Invalid file format for Batch API. Must be .jsonl: one JSON object a line.";
  if (!compression.empty()) {
    message += fmt::format(
        " This file is compressed with {0}: decompress it, or compress the whole request instead "
        "and "
        "say so with the header Content-Encoding: {0}.",
        compression);
  }
  return BadUpload(std::move(message));
}

}  // namespace

base::Result<> CheckContent(const ContentLook& content) {
  const bool rows = HoldsRows(content.filename) && content.compression.empty();
  if (content.purpose == "batch" && content.first != '{' && !(rows && content.size > 0)) {
    return std::unexpected(NotJsonLines(content.compression));
  }
  if (content.size == 0) return std::unexpected(BadUpload("The file is empty."));
  return {};
}

void Files::Adopt() {
  catalog_.ForEachFile([this](const FileRecord& file) {
    if (!file.removed) refs_->Hold(file.blob);
  });
}

Awaitable<base::Result<std::shared_ptr<Upload>>> Files::BeginUpload() {
  auto create = [blobs = blobs_] { return blobs->Create(); };
  auto blob = co_await runtime_.RunBlocking(runtime::kAnyLane, create);
  if (!blob) co_return std::unexpected(ForUploader(blob.error()));
  co_return std::make_shared<BlobUpload>(runtime_, blobs_, *blob, low_on_room_);
}

Awaitable<base::Result<FileRecord>> Files::FinishUpload(Caller caller, NewFile file,
                                                        std::shared_ptr<Upload> upload) {
  auto bytes = std::static_pointer_cast<BlobUpload>(upload);
  INFERQ_CO_TRY(CheckContent({.purpose = file.purpose,
                              .filename = file.filename,
                              .size = bytes->size(),
                              .first = bytes->first(),
                              .compression = bytes->compression()}));
  INFERQ_CO_TRY(co_await bytes->Seal());
  refs_->Hold(bytes->blob());
  FileRecord record;
  auto put = [&](catalog::Transaction& transaction) -> base::Result<> {
    record = Add(transaction, caller.tenant, std::move(file), bytes->size(), bytes->blob());
    return {};
  };
  bytes->Keep();
  if (auto updated = co_await catalog_.Update(std::move(put)); !updated) {
    refs_->Drop(bytes->blob());
    co_return std::unexpected(std::move(updated).error());
  }
  observer_.FileStored(caller, record);
  co_return record;
}

FileRecord Files::Add(catalog::Transaction& transaction, const std::string& tenant, NewFile file,
                      uint64_t bytes, blob::BlobId blob) {
  base::WallTime now = runtime_.clock().Wall();
  FileRecord record{.id = ids_.Make("file-"),
                    .sequence = transaction.NextSequence(),
                    .tenant = tenant,
                    .filename = std::move(file.filename),
                    .purpose = std::move(file.purpose),
                    .bytes = bytes,
                    .blob = blob,
                    .created = now,
                    .expires = {}};
  base::Micros usual = record.purpose == "batch" ? batch_lifetime_ : base::Micros(0);
  base::Micros lifetime = file.expires_after.value_or(usual);
  if (lifetime.count() > 0) record.expires = now + lifetime;
  transaction.Put(record);
  return record;
}

base::Result<FileRecord> Files::Get(const Caller& caller, const std::string& id) const {
  const FileRecord* file = catalog_.FindFile(id);
  bool own = file != nullptr && file->tenant == caller.tenant;
  if (!own || !file->IsThere(runtime_.clock().Wall())) return NoSuchFile(id);
  return *file;
}

base::Result<catalog::Page<FileRecord>> Files::List(const Caller& caller,
                                                    const FileList& request) const {
  return catalog_.ListFiles({.tenant = caller.tenant,
                             .after = request.after,
                             .limit = request.limit,
                             .order = request.order,
                             .purpose = request.purpose,
                             .now = runtime_.clock().Wall(),
                             .without = std::string(kBlobPurpose)});
}

Awaitable<base::Result<>> Files::Delete(Caller caller, std::string id) {
  INFERQ_CO_TRY(Get(caller, id));
  co_return co_await Remove(std::move(id));
}

Awaitable<base::Result<>> Files::Remove(std::string id) {
  FileRecord removed;
  base::WallTime now = runtime_.clock().Wall();
  auto remove = [&id, &removed, now](catalog::Transaction& transaction) -> base::Result<> {
    const FileRecord* file = transaction.FindFile(id);
    if (file == nullptr || file->removed) return NoSuchFile(id);
    removed = *file;
    transaction.Put(PlaceOf(removed, now));
    return {};
  };
  INFERQ_CO_TRY(co_await catalog_.Update(std::move(remove)));
  refs_->Drop(removed.blob);
  observer_.FileDeleted(removed);
  co_return base::Result<>{};
}

base::Result<std::shared_ptr<Content>> Files::Open(const Caller& caller, const std::string& id) {
  INFERQ_ASSIGN(FileRecord file, Get(caller, id));
  return std::make_shared<BlobContent>(runtime_, blobs_, refs_, std::move(file));
}

Awaitable<base::Result<>> Files::DeleteExpired() {
  base::WallTime now = runtime_.clock().Wall();
  std::vector<std::string> expired, places;
  catalog_.ForEachFile([&](const FileRecord& file) {
    if (file.expires && *file.expires <= now) (file.removed ? places : expired).push_back(file.id);
  });
  for (std::string& id : expired) {
    auto removed = co_await Remove(std::move(id));
    if (!removed && removed.error().code() != Code::kNotFound) co_return removed;
  }
  if (places.empty()) co_return base::Result<>{};
  co_return co_await RemovePlaces(std::move(places));
}

Awaitable<base::Result<>> Files::RemovePlaces(std::vector<std::string> ids) {
  auto remove = [&ids](catalog::Transaction& transaction) -> base::Result<> {
    for (const std::string& id : ids) transaction.RemoveFile(id);
    return {};
  };
  co_return co_await catalog_.Update(std::move(remove));
}

}  // namespace inferq::service
