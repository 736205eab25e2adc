#include "http/testing/compress.h"

#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

namespace inferq::http::testing {

std::string Gzip(std::string_view text) {
  constexpr int kGzipOnly = 16;
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  INFERQ_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipOnly,
                            kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  std::string in(text);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  INFERQ_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view text, int level, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  // A frame whose size is told has no window of its own: the text's end is not known at its begin.
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  if (window_log != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_outBuffer to{.dst = out.data(), .size = out.size(), .pos = 0};
  ZSTD_inBuffer begin{.src = text.data(), .size = text.size(), .pos = 0};
  INFERQ_CHECK(!ZSTD_isError(ZSTD_compressStream2(context, &to, &begin, ZSTD_e_continue)));
  INFERQ_CHECK(ZSTD_compressStream2(context, &to, &begin, ZSTD_e_end) == 0);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

}  // namespace inferq::http::testing
