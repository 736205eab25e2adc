#include "service/image_index.h"

#include <vector>

#include "wire/image_blobs.h"
#include "wire/json.h"

namespace inferq::service {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr size_t kShown = 100;  // bytes of an id

Error Refused(const model::BatchProblem& problem) {
  return Error(Code::kInvalidArgument, problem.message).WithParam("messages");
}

model::BatchProblem NoSuchBlob(const std::string& id) {
  return {"blob_not_found",
          fmt::format("The image '{}' does not exist; send it to /v1/blobs first.",
                      id.substr(0, kShown)),
          "body.messages",
          {}};
}

}  // namespace

std::string ImageKey(std::string_view tenant, std::string_view id) {
  return fmt::format("{}/{}", tenant, id);
}

void ImageIndex::Put(const std::string& tenant, const std::string& id, Entry entry) {
  base::MutexLock lock(mu_);
  entries_[ImageKey(tenant, id)] = entry;
}

void ImageIndex::Remove(const std::string& tenant, const std::string& id) {
  base::MutexLock lock(mu_);
  entries_.erase(ImageKey(tenant, id));
}

std::optional<ImageIndex::Entry> ImageIndex::Find(const std::string& tenant,
                                                  const std::string& id) const {
  base::MutexLock lock(mu_);
  auto found = entries_.find(ImageKey(tenant, id));
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<model::BatchProblem> ImageProblem(const ImageIndex& index, const std::string& tenant,
                                                std::span<const std::string> ids, uint64_t size) {
  for (const std::string& id : ids) {
    auto entry = index.Find(tenant, id);
    if (!entry) return NoSuchBlob(id);
    size += wire::DataUrlSize(entry->bytes);
  }
  if (size <= kLargestWithImages) return std::nullopt;
  return model::BatchProblem{
      "blobs_too_large",
      fmt::format(
          "With the images that it names this request has {} bytes; at most {} are allowed.", size,
          kLargestWithImages),
      "body.messages",
      {}};
}

Result<std::string> WithImages(const ImageIndex& index, blob::BlobStore& blobs,
                               const std::string& tenant, std::string body) {
  INFERQ_ASSIGN(wire::JsonValue json, wire::ParseJson(body));
  const auto references = wire::FindBlobReferences(json);
  std::vector<std::string> ids;
  for (const wire::BlobReference& reference : references) ids.push_back(reference.id);
  if (auto problem = ImageProblem(index, tenant, ids, body.size()))
    return std::unexpected(Refused(*problem));
  std::string out;
  const auto begin = static_cast<size_t>(json.text().data() - body.data());
  size_t copied = 0;
  for (const wire::BlobReference& reference : references) {
    const size_t at = begin + reference.offset;
    auto entry = index.Find(tenant, reference.id);
    if (!entry) return std::unexpected(Refused(NoSuchBlob(reference.id)));  // deleted just now
    auto image = blobs.Read({entry->blob, 0, entry->bytes});
    if (!image && image.error().code() == Code::kNotFound)
      return std::unexpected(Refused(NoSuchBlob(reference.id)));
    INFERQ_TRY(image);
    out.append(body, copied, at - copied);
    wire::AppendDataUrl(out, *image);
    copied = at + reference.length;
  }
  return out.append(body, copied);
}

}  // namespace inferq::service
