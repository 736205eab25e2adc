#include "http/content_decoder.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"
#include "http/text.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

// What a window of zstd may take: 8 MiB, which levels up to 19 keep to and RFC 8878 recommends.
constexpr int kZstdWindowLog = 23;
constexpr uint64_t kGzipMemory = 44u << 10;
// No honest encoder makes more of less than this: beyond, members without content keep us busy.
constexpr uint64_t kMaxOverhead = 8;

class GzipDecoder final : public ContentDecoder {
 public:
  explicit GzipDecoder(uint64_t max_ratio) : ContentDecoder(max_ratio) {
    constexpr int kGzipOnly = 16;
    INFERQ_CHECK(inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK);
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  uint64_t memory() const override { return kGzipMemory; }

 private:
  Result<Step> Decode(std::string_view in, std::span<char> out) override;
  bool at_boundary() const override { return at_boundary_; }

  z_stream stream_{};
  bool at_boundary_ = true;
};

Result<ContentDecoder::Step> GzipDecoder::Decode(std::string_view in, std::span<char> out) {
  if (at_boundary_ && in.empty()) return Step{};
  if (at_boundary_) inflateReset(&stream_);
  at_boundary_ = false;
  // zlib does not write there; its type is older than const.
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream_.avail_in = static_cast<uInt>(in.size());
  stream_.next_out = reinterpret_cast<Bytef*>(out.data());
  stream_.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream_, Z_NO_FLUSH);
  at_boundary_ = status == Z_STREAM_END;
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
    return Fail(Code::kInvalidArgument, "the body is not proper gzip ({})",
                stream_.msg != nullptr ? stream_.msg : "unknown");
  }
  return Step{.used = in.size() - stream_.avail_in, .made = out.size() - stream_.avail_out};
}

class ZstdDecoder final : public ContentDecoder {
 public:
  explicit ZstdDecoder(uint64_t max_ratio)
      : ContentDecoder(max_ratio), context_(ZSTD_createDCtx()) {
    INFERQ_CHECK(context_ != nullptr);
    INFERQ_CHECK(
        !ZSTD_isError(ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLog)));
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  uint64_t memory() const override { return ZSTD_sizeof_DCtx(context_); }

 private:
  Result<Step> Decode(std::string_view in, std::span<char> out) override;
  bool at_boundary() const override { return at_boundary_; }

  ZSTD_DCtx* context_;
  bool at_boundary_ = true;
};

Result<ContentDecoder::Step> ZstdDecoder::Decode(std::string_view in, std::span<char> out) {
  if (at_boundary_ && in.empty()) return Step{};
  ZSTD_inBuffer from{.src = in.data(), .size = in.size(), .pos = 0};
  ZSTD_outBuffer to{.dst = out.data(), .size = out.size(), .pos = 0};
  const size_t status = ZSTD_decompressStream(context_, &to, &from);
  if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge) {
    return Fail(Code::kInvalidArgument,
                "the body needs a zstd window of more than {} MiB; compress it with level 19 or "
                "lower, without --long",
                (1u << kZstdWindowLog) >> 20);
  }
  if (ZSTD_isError(status)) {
    return Fail(Code::kInvalidArgument, "the body is not proper zstd ({})",
                ZSTD_getErrorName(status));
  }
  at_boundary_ = status == 0;
  return Step{.used = from.pos, .made = to.pos};
}

}  // namespace

Result<ContentCoding> ContentCodingOf(const Headers& headers) {
  std::string_view coding;
  bool several = false;
  for (const Header& header : headers) {
    if (!SameIgnoringCase(header.name, "content-encoding")) continue;
    const std::string_view value = Trim(header.value);
    if (value.empty() || SameIgnoringCase(value, "identity")) continue;
    several = several || !coding.empty() || value.find(',') != value.npos;
    coding = value;
  }
  if (coding.empty()) return ContentCoding::kIdentity;
  if (several) {
    return Fail(Code::kUnimplemented,
                "The request body has several content encodings; one of {} is taken, or none.",
                kContentCodings);
  }
  if (SameIgnoringCase(coding, "gzip") || SameIgnoringCase(coding, "x-gzip"))
    return ContentCoding::kGzip;
  if (SameIgnoringCase(coding, "zstd")) return ContentCoding::kZstd;
  return Fail(Code::kUnimplemented,
              "The request body has a content encoding that is not supported; one of {} is taken, "
              "or none.",
              kContentCodings);
}

std::unique_ptr<ContentDecoder> ContentDecoder::Make(ContentCoding coding, uint64_t max_ratio) {
  INFERQ_CHECK(coding != ContentCoding::kIdentity);
  if (coding == ContentCoding::kGzip) return std::make_unique<GzipDecoder>(max_ratio);
  return std::make_unique<ZstdDecoder>(max_ratio);
}

void ContentDecoder::Feed(std::string bytes) {
  INFERQ_CHECK(fed_used_ == fed_.size());
  fed_ = std::move(bytes);
  fed_used_ = 0;
}

Result<std::string> ContentDecoder::Next() {
  std::string piece(kPiece, '\0');
  size_t made = 0;
  while (made < kPiece) {
    INFERQ_ASSIGN(const Step step,
                  Decode(std::string_view(fed_).substr(fed_used_), std::span(piece).subspan(made)));
    if (step.used == 0 && step.made == 0) break;
    fed_used_ += step.used;
    encoded_ += step.used;
    made += step.made;
    decoded_ += step.made;
    INFERQ_TRY(CheckRatio());
  }
  piece.resize(made);
  return piece;
}

Result<> ContentDecoder::CheckRatio() const {
  if (decoded_ > kFreeBytes && decoded_ > max_ratio_ * encoded_) {
    return std::unexpected(
        Error(Code::kOutOfRange,
              fmt::format("The request body expands to more than {} times its size, which is not "
                          "taken; send it less compressed.",
                          max_ratio_))
            .WithParam("content-encoding"));
  }
  if (encoded_ > kFreeBytes && encoded_ / kMaxOverhead > decoded_)
    return Fail(Code::kInvalidArgument, "the body is much longer than what it encodes");
  return {};
}

Result<> ContentDecoder::Finish() const {
  if (at_boundary()) return {};
  return Fail(Code::kInvalidArgument, "the compressed body is cut off in its middle");
}

}  // namespace inferq::http
