#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/mutex.h"
#include "blob/blob_store.h"
#include "model/batch.h"

namespace inferq::service {

/// Where the stored images of all tenants lie: what ImageBlobs tells those who read requests. Any
/// thread.
class ImageIndex {
 public:
  struct Entry {
    blob::BlobId blob = 0;
    uint64_t bytes = 0;
  };

  void Put(const std::string& tenant, const std::string& id, Entry entry);
  void Remove(const std::string& tenant, const std::string& id);
  std::optional<Entry> Find(const std::string& tenant, const std::string& id) const;

 private:
  mutable base::Mutex mu_;
  std::unordered_map<std::string, Entry> entries_ GUARDED_BY(mu_);
};

/// Purpose of their records among the files.
inline constexpr std::string_view kBlobPurpose = "blob";

/// Key of a tenant's image: a tenant's name holds no '/'.
std::string ImageKey(std::string_view tenant, std::string_view id);

/// A request with the images that it names inside, in bytes: more is refused. Images are read and
/// encoded when the request is run, so this bounds the memory of one.
inline constexpr uint64_t kLargestWithImages = 60u << 20;

/// What is wrong with the images that a request of `size` bytes names: one is not there, or they
/// are too large together. nullopt: nothing.
std::optional<model::BatchProblem> ImageProblem(const ImageIndex& index, const std::string& tenant,
                                                std::span<const std::string> ids, uint64_t size);

/// The body with the images that it names as data: URLs. Blocks. kInvalidArgument: as ImageProblem.
base::Result<std::string> WithImages(const ImageIndex& index, blob::BlobStore& blobs,
                                     const std::string& tenant, std::string body);

}  // namespace inferq::service
