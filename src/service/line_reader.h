#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "blob/blob_store.h"
#include "model/task.h"
#include "service/ingest/line_source.h"
#include "service/line_index.h"
#include "service/run_line.h"
#include "service/run_store.h"

namespace inferq::service {

/// "<size> bytes, <hash>" of a file's contents. Blocks.
base::Result<std::string> HashOfFile(base::FileSystem& fs, const std::string& path);

/// Copies an input file, line by line, into a new blob of the store. Blocks; one thread at a time.
class LineReader {
 public:
  static base::Result<std::unique_ptr<LineReader>> Open(base::FileSystem& fs,
                                                        const std::string& path,
                                                        ingest::SourceOptions options,
                                                        blob::BlobStore& blobs);

  /// Reads up to `n` lines. @return the bad ones among them.
  base::Result<std::vector<ingest::BadLine>> ReadSome(uint64_t n);
  bool at_end() const { return at_end_; }
  uint64_t lines() const { return lines_; }
  uint64_t bad_lines() const { return bad_lines_; }
  /// Makes the lines durable. @return a manifest that lacks identity and batch.
  base::Result<RunManifest> Seal();

 private:
  LineReader(std::unique_ptr<base::File> file, blob::BlobStore& blobs)
      : file_(std::move(file)), blobs_(blobs), index_(blobs) {}
  base::Result<> Store(RunLine line);
  RunLine Convert(ingest::Line line) const;
  base::Result<> Flush();

  std::unique_ptr<base::File> file_;
  blob::BlobStore& blobs_;
  std::unique_ptr<ingest::LineSource> source_;
  blob::BlobId blob_ = 0;
  std::string buffer_;
  LineIndexWriter index_;
  uint64_t stored_ = 0;  // bytes
  uint64_t cost_ = 0;
  uint64_t lines_ = 0;
  uint64_t bad_lines_ = 0;
  bool keep_columns_ = false;
  bool add_custom_id_ = false;  // no column of the input says which row it is
  bool at_end_ = false;
};

/// How a line is entered in an index. `lane` is 0.
queue::LineInfo InfoOf(const RunLine& line, const model::Extent& extent);
/// Makes the index of such a blob that has none. Blocks.
base::Result<blob::BlobId> IndexLines(blob::BlobStore& blobs, blob::BlobId lines);

/// A line of the blob that LineReader made, and where it lies.
struct StoredLine {
  RunLine line;
  model::Extent extent;
};

/// Walks the lines of such a blob in order. Blocks; one thread at a time.
class LineCursor {
 public:
  LineCursor(blob::BlobStore& blobs, blob::BlobId blob) : blobs_(blobs), blob_(blob) {}
  base::Result<> Skip(uint64_t lines);
  /// Up to `n` lines; fewer only at the end.
  base::Result<std::vector<StoredLine>> Next(uint64_t n);

 private:
  base::Result<std::optional<model::Extent>> NextExtent();
  std::string_view TextOf(const model::Extent& extent) const;
  base::Result<bool> Refill();

  blob::BlobStore& blobs_;
  blob::BlobId blob_;
  std::string window_;  // bytes of the blob from window_start_ on
  uint64_t window_start_ = 0;
  uint64_t position_ = 0;
};

}  // namespace inferq::service
