// Any bytes as a server's answer: pieces make no difference, and a body never outgrows its limit or
// its length.
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/response_decoder.h"

using namespace inferq;
using namespace inferq::http;

namespace {

constexpr uint64_t kMaxBody = 2000;

std::string Describe(ResponseDecoder& decoder, const std::string& body) {
  std::string all = fmt::format("{} {} {}", decoder.head().status, decoder.done(), body);
  for (const Header& header : decoder.head().headers) {
    all += fmt::format("\n{}: {}", header.name, header.value);
  }
  return all;
}

/// All that a decoder says, as text. Stops where it is done or has failed.
std::string Transcript(std::string_view& bytes, size_t piece) {
  ResponseDecoder decoder(kMaxBody);
  std::string body;
  while (!bytes.empty() && !decoder.done()) {
    auto fed = decoder.Feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    if (!fed) return std::string(base::CodeName(fed.error().code()));
    if (decoder.head_done()) body += decoder.TakeBody();
    INFERQ_CHECK(body.size() <= kMaxBody);
  }
  if (!decoder.done()) {
    auto ended = decoder.FeedEnd();
    if (!ended) return std::string(base::CodeName(ended.error().code()));
    body += decoder.TakeBody();
  }
  INFERQ_CHECK(decoder.head_done() && decoder.body_size() == body.size());
  return Describe(decoder, body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string_view rest = bytes;
  const std::string slowly = Transcript(rest, 1);
  // What comes behind an answer is not its: without it.
  const std::string_view answer = bytes.substr(0, size - rest.size());
  for (size_t piece : {size_t{7}, SIZE_MAX}) {
    rest = answer;
    INFERQ_CHECK(Transcript(rest, piece) == slowly);
  }
  return 0;
}
