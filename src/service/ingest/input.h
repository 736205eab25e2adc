#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "service/ingest/line_source.h"

namespace inferq::ingest {

/// A window onto a stream of bytes that slides forward and grows as far as its reader lets it.
/// Knows the physical line (from 1, ended by LF) and the offset of its first byte.
class Input {
 public:
  explicit Input(ReadBytes read) : read_(std::move(read)) {}

  /// The bytes that were read and not consumed. Valid until More().
  std::string_view data() const { return std::string_view(buffer_).substr(begin_, end_ - begin_); }
  /// Reads more behind data(). @return false at the end of the stream; then and on failures data()
  /// stays.
  base::Result<bool> More();
  /// Drops the first `size` bytes of data().
  void Consume(size_t size);
  /// The same for one line with its end, which need not be looked for again.
  void ConsumeLine(size_t size);

  uint64_t line() const { return line_; }
  uint64_t offset() const { return offset_; }

 private:
  void MakeRoom();

  ReadBytes read_;
  std::string buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t line_ = 1;
  uint64_t offset_ = 0;
  bool at_end_ = false;
};

}  // namespace inferq::ingest
