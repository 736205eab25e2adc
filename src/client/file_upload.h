#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "http/body_source.h"
#include "runtime/runtime.h"

namespace inferq::client {

/// Bytes sent or received so far, and of all; on the strand.
using OnBytes = std::function<void(uint64_t done, uint64_t total)>;

/// The body of POST /v1/files: multipart/form-data whose file is read while it is sent.
class FileUpload final : public http::BodySource {
 public:
  /// @param filename  without folders; quotes and line breaks in it are percent-encoded.
  /// @param boundary  must not occur in the file: random.
  /// @param size  of the file; a file that shrinks meanwhile ends the upload.
  FileUpload(runtime::Runtime& runtime, std::shared_ptr<base::File> file, uint64_t size,
             const std::string& filename, const std::string& purpose, const std::string& boundary,
             OnBytes on_bytes);

  uint64_t size() const override { return head_.size() + file_size_ + tail_.size(); }
  runtime::Awaitable<base::Result<std::string>> Next() override;
  bool Restart() override;

 private:
  runtime::Runtime& runtime_;
  std::shared_ptr<base::File> file_;
  const uint64_t file_size_;
  std::string head_;
  std::string tail_;
  OnBytes on_bytes_;
  uint64_t offset_ = 0;  // in the file
  enum class Part : uint8_t { kHead, kFile, kTail } part_ = Part::kHead;
};

}  // namespace inferq::client
