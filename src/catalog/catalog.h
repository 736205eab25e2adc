#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/batch.h"
#include "model/file.h"
#include "model/upload.h"
#include "runtime/awaitable.h"

namespace inferq::catalog {

using runtime::Awaitable;

/// The newest state, and what one update makes of it. Valid during the update only.
class Transaction {
 public:
  virtual ~Transaction() = default;
  /// nullptr: none. With the changes of this update and of those before it.
  virtual const model::FileRecord* FindFile(const std::string& id) const = 0;
  virtual const model::BatchRecord* FindBatch(const std::string& id) const = 0;
  virtual const model::UploadRecord* FindUpload(const std::string& id) const = 0;
  /// A number above all given before, also before a restart.
  virtual uint64_t NextSequence() = 0;
  /// Adds the record, or replaces the one of the same id. Tenant and sequence of a record never
  /// change.
  virtual void Put(model::FileRecord file) = 0;
  virtual void Put(model::BatchRecord batch) = 0;
  virtual void Put(model::UploadRecord upload) = 0;
  virtual void RemoveFile(const std::string& id) = 0;
  virtual void RemoveBatch(const std::string& id) = 0;
  virtual void RemoveUpload(const std::string& id) = 0;
};

/// A part of a list, for cursors.
template <class Record>
struct Page {
  std::vector<Record> records;
  bool has_more = false;
};

enum class ListOrder : uint8_t { kNewestFirst, kOldestFirst };

/// Which part of a tenant's records.
struct ListRequest {
  std::string tenant;
  std::string after{};  ///< An id of the tenant; "": from the begin.
  uint32_t limit = 20;
  ListOrder order = ListOrder::kNewestFirst;
  std::string purpose{};  ///< Of files; "": all.
  /// Of files: those that are not there any more at this time are left out.
  base::WallTime now{};
  std::string without{};  ///< Of files: those of this purpose are passed over.
};

/// Files, batches and uploads: what there is, durable, and found in memory.
///
/// Order: Open -> any calls -> Close. Calls on one strand. Reads show what is durable. Updates are
/// made one after the other; those that wait while a commit is under way share the next one. After
/// a failed commit nothing of it is visible, healthy() turns false and every later update fails:
/// open anew.
class Catalog {
 public:
  virtual ~Catalog() = default;

  /// kFailedPrecondition: in use, or of a newer inferq; kDataLoss: damaged; kResourceExhausted:
  /// disk full.
  virtual Awaitable<base::Result<>> Open() = 0;
  virtual Awaitable<base::Result<>> Close() = 0;
  virtual bool healthy() const = 0;

  /// Runs `change` once against the newest state and makes what it did durable. If it fails,
  /// nothing of it is done, and its error is returned. Runs without suspending; it must not call
  /// the catalog but through the transaction.
  using Change = std::move_only_function<base::Result<>(Transaction&)>;
  virtual Awaitable<base::Result<>> Update(Change change) = 0;

  /// nullptr: none. Valid until the next suspension.
  virtual const model::FileRecord* FindFile(const std::string& id) const = 0;
  virtual const model::BatchRecord* FindBatch(const std::string& id) const = 0;
  virtual const model::UploadRecord* FindUpload(const std::string& id) const = 0;
  /// kNotFound: `after` is no record of the tenant (its message has the id).
  virtual base::Result<Page<model::FileRecord>> ListFiles(const ListRequest& request) const = 0;
  virtual base::Result<Page<model::BatchRecord>> ListBatches(const ListRequest& request) const = 0;
  /// In order of their sequence; `fn` must not suspend.
  virtual void ForEachFile(const std::function<void(const model::FileRecord&)>& fn) const = 0;
  virtual void ForEachBatch(const std::function<void(const model::BatchRecord&)>& fn) const = 0;
  virtual void ForEachUpload(const std::function<void(const model::UploadRecord&)>& fn) const = 0;
};

}  // namespace inferq::catalog
