#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "catalog/overlay.h"
#include "model/batch.h"
#include "model/file.h"
#include "model/upload.h"
#include "sqlite/database.h"

namespace inferq::catalog {

/// What one commit writes.
struct ChangeSet {
  Overlay<model::FileRecord> files;
  Overlay<model::BatchRecord> batches;
  Overlay<model::UploadRecord> uploads;
  uint64_t last_sequence = 0;

  void Merge(ChangeSet newer) {
    files.Merge(std::move(newer.files));
    batches.Merge(std::move(newer.batches));
    uploads.Merge(std::move(newer.uploads));
  }
  bool empty() const { return files.empty() && batches.empty() && uploads.empty(); }
};

/// What Open finds, in order of sequence.
struct Visitor {
  std::function<base::Result<>(model::FileRecord)> on_file;
  std::function<base::Result<>(model::BatchRecord)> on_batch;
  std::function<void(uint64_t)> on_last_sequence;                  ///< First; not for a new store.
  std::function<base::Result<>(model::UploadRecord)> on_upload{};  ///< Null: left out.
};

/// The records in an SQLite file, each a row with a checksum. One thread at a time; calls block.
class Store {
 public:
  /// `vfs`: name of a registered sqlite3_vfs; "": the machine's files.
  Store(std::string path, std::string vfs) : path_(std::move(path)), vfs_(std::move(vfs)) {}

  /// See sqlite::OpenStore; kDataLoss: a row is damaged. Closed again if it fails.
  base::Result<> Open(const Visitor& visitor);
  /// Shows one moment of what is stored, also beside a process that has it open, and is closed
  /// then. kDataLoss: a row or the file is damaged.
  base::Result<> Read(const Visitor& visitor);
  /// All of it or nothing, durable at the return.
  base::Result<> Commit(const ChangeSet& changes);
  void Close();

 private:
  // Reset before the connection that they belong to.
  struct Statements {
    sqlite::Row put_file, remove_file, put_batch, remove_batch, put_upload, remove_upload;
    sqlite::Row put_meta;
  };

  base::Result<> Prepare();
  base::Result<> Visit(const Visitor& visitor);
  base::Result<> VisitMeta(const Visitor& visitor);
  template <class Record>
  base::Result<> VisitTable(const char* table,
                            const std::function<base::Result<>(Record)>& on_record);
  base::Result<> Write(const ChangeSet& changes);

  std::string path_;
  std::string vfs_;
  sqlite::Database db_;
  std::unique_ptr<Statements> statements_;
};

}  // namespace inferq::catalog
