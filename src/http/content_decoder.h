#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace inferq::http {

/// How a body is compressed on its way (RFC 9110, section 8.4).
enum class ContentCoding : uint8_t { kIdentity, kGzip, kZstd };

/// Those that are taken, as Accept-Encoding has them.
inline constexpr std::string_view kContentCodings = "gzip, zstd";

/// Of a request. kUnimplemented (415): another coding, or several; the sentence names those taken.
base::Result<ContentCoding> ContentCodingOf(const Headers& headers);

/// Decompresses a body in pieces of bounded size, in bounded memory. No I/O; one thread at a time.
///
/// Order: (Feed -> Next until "") ... -> Finish. Several members (gzip) or frames (zstd) behind
/// each other are one body. After a failure it is dropped:
///   kInvalidArgument  not what the coding says, cut off, or an encoding that only wastes work
///   kOutOfRange       grows by more than the limit (param "content-encoding")
class ContentDecoder {
 public:
  static constexpr size_t kPiece = 64u << 10;  ///< Decoded bytes of one Next.
  /// Bytes, decoded, that may come of whatever little: small bodies compress as they like.
  static constexpr uint64_t kFreeBytes = 1u << 20;

  /// @param coding  not kIdentity. @param max_ratio  decoded bytes for each encoded one.
  static std::unique_ptr<ContentDecoder> Make(ContentCoding coding, uint64_t max_ratio);
  virtual ~ContentDecoder() = default;

  /// More encoded bytes, once Next had nothing to give.
  void Feed(std::string bytes);
  /// The next decoded bytes, at most kPiece; "": it wants to be fed, or there are no more.
  base::Result<std::string> Next();
  /// There are no more encoded bytes. A body without any is empty.
  base::Result<> Finish() const;
  /// Bytes that it holds, without what it was fed.
  virtual uint64_t memory() const = 0;

 protected:
  struct Step {
    size_t used = 0;
    size_t made = 0;
  };
  explicit ContentDecoder(uint64_t max_ratio) : max_ratio_(max_ratio) {}
  /// Some progress, or none because all was used.
  virtual base::Result<Step> Decode(std::string_view in, std::span<char> out) = 0;
  /// Not in the middle of a member.
  virtual bool at_boundary() const = 0;

 private:
  base::Result<> CheckRatio() const;

  const uint64_t max_ratio_;
  std::string fed_;
  size_t fed_used_ = 0;
  uint64_t encoded_ = 0;
  uint64_t decoded_ = 0;
};

}  // namespace inferq::http
