// A boundary (the first line) and a body: pieces make no difference, and the events are in order.
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/multipart.h"

using namespace inferq;
using namespace inferq::http;

namespace {

/// All that a reader says, as text.
std::string Transcript(std::string boundary, std::string_view body, size_t piece) {
  MultipartReader reader(std::move(boundary));
  std::string all;
  bool inside = false;
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    auto events = reader.Feed(body.substr(0, piece));
    if (!events) return events.error().ToString();
    for (const MultipartEvent& event : *events) {
      if (auto* begin = std::get_if<PartBegin>(&event)) {
        INFERQ_CHECK(!inside);
        INFERQ_CHECK(begin->filename.value_or("").find_first_of("/\\") == std::string::npos);
        all += fmt::format("<{}|{}|{}>", begin->name, begin->filename.value_or("-"),
                           begin->content_type);
        inside = true;
      } else if (auto* part = std::get_if<PartData>(&event)) {
        INFERQ_CHECK(inside && !part->bytes.empty());
        all += part->bytes;
      } else {
        INFERQ_CHECK(inside);
        all += "</>";
        inside = false;
      }
    }
  }
  auto end = reader.Finish();
  INFERQ_CHECK(!end || !inside);
  return end ? all : all + end.error().ToString();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(text.find("\r\n"), text.size());
  auto boundary = MultipartBoundary(text.substr(0, line));
  const std::string used = boundary.value_or("b");
  const std::string_view body = text.substr(std::min(line + 2, text.size()));
  const std::string whole = Transcript(used, body, SIZE_MAX);
  INFERQ_CHECK(Transcript(used, body, 1) == whole);
  INFERQ_CHECK(Transcript(used, body, 7) == whole);
  return 0;
}
