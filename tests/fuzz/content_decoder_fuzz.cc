// A compressed body behind a byte that names its coding: pieces make no difference to what comes of
// it, no piece is too large, and it grows no more than the limit says.
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/content_decoder.h"

using namespace inferq;
using namespace inferq::http;

namespace {

constexpr uint64_t kMaxRatio = 50;

/// What a decoder gives until its first failure; "" with the failure apart.
std::string Decode(ContentCoding coding, std::string_view body, size_t piece, bool* whole) {
  auto decoder = ContentDecoder::Make(coding, kMaxRatio);
  std::string all;
  const size_t size = body.size();
  *whole = false;
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    decoder->Feed(std::string(body.substr(0, piece)));
    for (;;) {
      auto next = decoder->Next();
      if (!next) return all;
      INFERQ_CHECK(next->size() <= ContentDecoder::kPiece);
      if (next->empty()) break;
      all += *next;
    }
  }
  INFERQ_CHECK(all.size() <= std::max<uint64_t>(ContentDecoder::kFreeBytes, kMaxRatio * size));
  *whole = decoder->Finish().has_value();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto coding = data[0] % 2 == 0 ? ContentCoding::kGzip : ContentCoding::kZstd;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  bool whole = false;
  const std::string text = Decode(coding, body, SIZE_MAX, &whole);
  if (text.size() > ContentDecoder::kFreeBytes) return 0;  // how it is fed decides where it stops
  for (size_t piece : {size_t{1}, size_t{7}}) {
    bool same = false;
    const std::string again = Decode(coding, body, piece, &same);
    INFERQ_CHECK(same == whole);
    if (whole) INFERQ_CHECK(again == text);
  }
  return 0;
}
