#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "runtime/runtime.h"
#include "service/blob_limits.h"
#include "service/blob_refs.h"
#include "service/caller.h"
#include "service/file_bytes.h"
#include "service/image_index.h"

namespace inferq::service {

/// Images of all tenants, each named by the SHA-256 of its bytes, so that the same one is kept once
/// and requests name it instead of carrying it.
///
/// A record is that of a file with the purpose "blob" and the id ImageKey(tenant, id). Bytes are
/// sealed before the record is written and removed after it, as those of files. On the strand.
class ImageBlobs {
 public:
  ImageBlobs(runtime::Runtime& runtime, catalog::Catalog& catalog,
             std::shared_ptr<blob::BlobStore> blobs, std::shared_ptr<BlobRefs> refs,
             LowOnRoom low_on_room, const BlobLimits& limits)
      : runtime_(runtime),
        catalog_(catalog),
        blobs_(std::move(blobs)),
        refs_(std::move(refs)),
        low_on_room_(std::move(low_on_room)),
        limits_(limits) {}

  /// Takes stock of what there is. Files::Adopt holds their bytes.
  void Adopt();

  /// The image, durable; the record that there is when it is kept already. Its id is that for
  /// clients, as below. kInvalidArgument: no image. kResourceExhausted: a limit.
  Awaitable<base::Result<model::FileRecord>> Put(Caller caller, std::string bytes);
  base::Result<model::FileRecord> Get(const Caller& caller, const std::string& id) const;
  base::Result<catalog::Page<model::FileRecord>> List(const Caller& caller,
                                                      const std::string& after,
                                                      uint32_t limit) const;
  /// kFailedPrecondition: a batch that lives may need it.
  Awaitable<base::Result<>> Delete(Caller caller, std::string id);

  const std::shared_ptr<ImageIndex>& index() const { return index_; }

 private:
  struct Usage {
    uint64_t count = 0;
    uint64_t bytes = 0;
  };
  base::Result<> Reserve(const std::string& tenant, uint64_t bytes);
  void Release(const std::string& tenant, uint64_t bytes);
  /// @return the record, and whether it is new.
  Awaitable<base::Result<std::pair<model::FileRecord, bool>>> Store(
      std::string tenant, std::string id, std::shared_ptr<const std::string> image);
  base::Result<> CheckUnused(const Caller& caller, const std::string& id) const;

  runtime::Runtime& runtime_;
  catalog::Catalog& catalog_;
  std::shared_ptr<blob::BlobStore> blobs_;
  std::shared_ptr<BlobRefs> refs_;
  LowOnRoom low_on_room_;
  const BlobLimits limits_;
  std::shared_ptr<ImageIndex> index_ = std::make_shared<ImageIndex>();
  std::map<std::string, Usage> usage_;  // by tenant
};

}  // namespace inferq::service
