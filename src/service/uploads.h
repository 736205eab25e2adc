#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "blob/blob_store.h"
#include "catalog/catalog.h"
#include "runtime/event.h"
#include "runtime/runtime.h"
#include "service/blob_refs.h"
#include "service/files.h"
#include "service/ids.h"
#include "service/part_joiner.h"
#include "service/service.h"

namespace inferq::service {

/// What the uploads need of the rest.
struct UploadEnvironment {
  runtime::Runtime& runtime;
  catalog::Catalog& catalog;
  std::shared_ptr<blob::BlobStore> blobs;
  BlobRefs& refs;
  IdMaker& ids;
  Files& files;
  const UploadLimits& limits;
  LowOnRoom low_on_room;
  Observer& observer;
};

/// Files that come in parts. Each part is a sealed blob, which the upload's record names before the
/// part is acknowledged; to complete an upload copies the chosen parts, in the order that was asked
/// for, into one blob, which becomes a file in the update that ends the upload.
///
/// A crash on the way leaves a pending upload with all its parts, and the same call does it again.
/// A call that comes again after its answer was lost waits for the first, and gets its answer. What
/// ended is remembered for a day, without bytes. On the strand.
class Uploads {
 public:
  explicit Uploads(UploadEnvironment environment) : env_(std::move(environment)) {}

  /// Takes hold of the blobs of parts.
  void Adopt();
  /// Breaks off what is being put together.
  void Stop() { stopping_ = true; }

  Awaitable<base::Result<UploadView>> Create(Caller caller, NewUpload upload);
  Awaitable<base::Result<PartView>> AddPart(Caller caller, std::string id,
                                            std::shared_ptr<Upload> bytes);
  Awaitable<base::Result<UploadView>> Complete(Caller caller, std::string id,
                                               UploadCompletion call);
  Awaitable<base::Result<UploadView>> Cancel(Caller caller, std::string id);
  /// Ends those whose time is over, and forgets those that ended long ago.
  Awaitable<base::Result<>> Sweep();

 private:
  base::Result<model::UploadRecord> Find(const Caller& caller, const std::string& id) const;
  base::Result<model::UploadRecord> FindPending(const Caller& caller, const std::string& id) const;
  base::Result<> CheckPending(const model::UploadRecord* upload) const;
  base::Result<> CheckPart(const model::UploadRecord& upload, uint64_t bytes) const;
  Awaitable<base::Result<UploadView>> Join(Caller caller, model::UploadRecord upload,
                                           std::vector<model::UploadPart> parts,
                                           UploadCompletion call);
  Awaitable<base::Result<PartJoiner::Joined>> PutTogether(std::vector<model::UploadPart> parts,
                                                          bool with_sum);
  Awaitable<base::Result<>> ReadAll(std::shared_ptr<PartJoiner> joiner);
  Awaitable<base::Result<>> Finish(Caller caller, model::UploadRecord upload,
                                   PartJoiner::Joined joined, uint64_t completion);
  /// Ends a pending one in an update; its parts are let go when that is durable.
  Awaitable<base::Result<>> End(std::string id, model::UploadStatus status);
  UploadView ViewOf(const model::UploadRecord& upload) const;
  void Drop(const std::vector<model::UploadPart>& parts);

  UploadEnvironment env_;
  std::map<std::string, std::shared_ptr<runtime::Event>> joining_;  // by upload
  bool stopping_ = false;
};

}  // namespace inferq::service
