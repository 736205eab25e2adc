// Any bytes as an event stream: pieces make no difference, neither to the events nor to the answer
// that an engine makes of them, and no event is longer than its limit.
#include <string>
#include <string_view>

#include "base/check.h"
#include "engine/remote/chunk_reader.h"
#include "http/sse.h"
#include "wire/json.h"

using namespace inferq;

namespace {

constexpr size_t kMaxEvent = 1000;

/// All that a decoder says, as text.
std::string Events(std::string_view bytes, size_t piece) {
  http::SseDecoder decoder(kMaxEvent);
  std::string all;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    decoder.Feed(bytes.substr(0, piece));
    auto event = decoder.Next();
    for (; event && *event; event = decoder.Next()) {
      INFERQ_CHECK((*event)->data.size() <= kMaxEvent);
      all += fmt::format("<{}|{}>", (*event)->type, (*event)->data);
    }
    if (!event) return event.error().ToString();  // where it is noticed depends on the pieces
  }
  return all;
}

void Take(const engine::Delta& delta, std::string& all) {
  for (const std::string& chunk : delta.raw_chunks) {
    INFERQ_CHECK(wire::ParseJson(chunk).has_value());
    all += chunk + "\n";
  }
}

/// All that an engine hands on, as text.
std::string Answer(std::string_view bytes, size_t piece) {
  engine::ChunkReader reader(true);
  std::string all;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    auto delta = reader.Feed(bytes.substr(0, piece));
    if (!delta) return delta.error().ToString();
    Take(*delta, all);
    if (delta->finish_reason) return all + "done";
  }
  auto last = reader.End();
  if (!last) return last.error().ToString();
  Take(*last, all);
  return all + "ended";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string events = Events(bytes, SIZE_MAX);
  INFERQ_CHECK(Events(bytes, 1) == events);
  INFERQ_CHECK(Events(bytes, 7) == events);
  const std::string answer = Answer(bytes, SIZE_MAX);
  INFERQ_CHECK(Answer(bytes, 1) == answer);
  INFERQ_CHECK(Answer(bytes, 7) == answer);
  return 0;
}
