#pragma once

#include <memory>
#include <string>

#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/blob_refs.h"
#include "service/file_bytes.h"
#include "service/ids.h"
#include "service/service.h"

namespace inferq::service {

/// What is seen of a file's bytes while they come.
struct ContentLook {
  std::string_view purpose;
  std::string_view filename;
  uint64_t size = 0;
  char first = 0;                  ///< See FirstByte.
  std::string_view compression{};  ///< See BlobUpload.
};
/// Whether a file of `size` bytes may have the purpose. `first`: see BlobUpload::first.
/// kInvalidArgument (param "file"): it is empty, or for batches and no JSON lines.
base::Result<> CheckContent(const ContentLook& content);

/// The files of all tenants: names in the catalog, bytes in the blob store.
///
/// Bytes are sealed before the record is written, and the record is removed before the bytes: a
/// crash between the two leaves a blob without a record, which the next start removes. Of a deleted
/// file the place in the lists is kept for an hour, so that who lists behind it can go on. On the
/// strand.
class Files {
 public:
  Files(runtime::Runtime& runtime, catalog::Catalog& catalog,
        std::shared_ptr<blob::BlobStore> blobs, std::shared_ptr<BlobRefs> refs, IdMaker& ids,
        LowOnRoom low_on_room, Observer& observer, base::Micros batch_lifetime)
      : runtime_(runtime),
        catalog_(catalog),
        blobs_(std::move(blobs)),
        refs_(std::move(refs)),
        ids_(ids),
        low_on_room_(std::move(low_on_room)),
        observer_(observer),
        batch_lifetime_(batch_lifetime) {}

  /// Takes hold of the blobs of stored files.
  void Adopt();

  Awaitable<base::Result<std::shared_ptr<Upload>>> BeginUpload();
  Awaitable<base::Result<model::FileRecord>> FinishUpload(Caller caller, NewFile file,
                                                          std::shared_ptr<Upload> upload);
  /// The record of a new file over a sealed blob, with a number of that update, held.
  model::FileRecord Add(catalog::Transaction& transaction, const std::string& tenant, NewFile file,
                        uint64_t bytes, blob::BlobId blob);
  base::Result<model::FileRecord> Get(const Caller& caller, const std::string& id) const;
  base::Result<catalog::Page<model::FileRecord>> List(const Caller& caller,
                                                      const FileList& request) const;
  Awaitable<base::Result<>> Delete(Caller caller, std::string id);
  base::Result<std::shared_ptr<Content>> Open(const Caller& caller, const std::string& id);

  /// Deletes files whose time has come.
  Awaitable<base::Result<>> DeleteExpired();

 private:
  Awaitable<base::Result<>> Remove(std::string id);
  Awaitable<base::Result<>> RemovePlaces(std::vector<std::string> ids);

  runtime::Runtime& runtime_;
  catalog::Catalog& catalog_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::shared_ptr<BlobRefs> refs_;
  IdMaker& ids_;
  LowOnRoom low_on_room_;
  Observer& observer_;
  const base::Micros batch_lifetime_;  // of files for batches; 0: for ever
};

}  // namespace inferq::service
