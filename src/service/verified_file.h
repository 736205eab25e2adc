#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_system.h"

namespace inferq::service {

/// A file whose contents are known: the lines given to Put, in order. What is there already is
/// compared and kept as long as it agrees; from the first difference (a torn last line, bytes a
/// power cut lost, an older version of the results) the file is cut and written anew. So writing
/// all lines again after a crash repairs the file and costs a read where nothing is wrong. Blocks;
/// one thread at a time.
class VerifiedFile {
 public:
  /// Opens or creates `path`.
  static base::Result<std::unique_ptr<VerifiedFile>> Open(base::FileSystem& fs, std::string path);

  base::Result<> Put(std::string_view line);
  /// Everything put so far is the whole file: writes what is buffered and cuts what lies behind.
  base::Result<> Flush();
  /// Flush, and durable.
  base::Result<> Sync();

  /// Bytes put so far.
  uint64_t size() const { return position_ + buffer_.size(); }
  /// Bytes that stood in the file and were cut or replaced.
  uint64_t repaired() const { return repaired_; }

 private:
  VerifiedFile(std::unique_ptr<base::File> file, uint64_t existing)
      : file_(std::move(file)), existing_(existing) {}
  base::Result<bool> Agrees(std::string_view line);
  base::Result<> Cut();

  std::unique_ptr<base::File> file_;
  uint64_t existing_;      // bytes in the file behind which nothing is left to compare
  uint64_t position_ = 0;  // bytes agreed or written
  std::string buffer_;     // put, not yet written; empty while comparing
  std::string window_;     // bytes of the file from window_start_ on
  uint64_t window_start_ = 0;
  uint64_t repaired_ = 0;
};

}  // namespace inferq::service
