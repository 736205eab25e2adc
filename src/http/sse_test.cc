#include "http/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace inferq::http {
namespace {

using testing::ElementsAre;

// Feeds in pieces of `size` bytes. @return "type|data" of each event.
std::vector<std::string> Decode(std::string_view stream, size_t size) {
  SseDecoder decoder;
  std::vector<std::string> events;
  for (; !stream.empty(); stream.remove_prefix(std::min(size, stream.size()))) {
    decoder.Feed(stream.substr(0, size));
    for (auto event = decoder.Next(); event && *event; event = decoder.Next()) {
      events.push_back((*event)->type + "|" + (*event)->data);
    }
  }
  return events;
}

TEST(Sse, GivesTheSameEventsForAnySplit) {
  std::string_view stream =
      "\xEF\xBB\xBF"
      "data: {\"a\":1}\r\n\r\n: keep-alive\n\nevent: error\ndata:x\ndata\ndata:  y\n\nid: "
      "7\nretry: 5\n\n"
      "data: [DONE]\r\rdata: cut";
  for (size_t size = 1; size <= stream.size(); ++size) {
    EXPECT_THAT(Decode(stream, size), ElementsAre("|{\"a\":1}", "error|x\n\n y", "|[DONE]"))
        << size;
  }
}

TEST(Sse, RefusesAnEndlessEvent) {
  SseDecoder one_line(100);
  one_line.Feed("data: " + std::string(100, 'x'));
  EXPECT_EQ(one_line.Next().error().code(), base::Code::kResourceExhausted);

  SseDecoder many_lines(100);
  std::string lines;
  for (int i = 0; i < 50; ++i) lines += "data: xx\n";
  many_lines.Feed(lines);
  EXPECT_EQ(many_lines.Next().error().code(), base::Code::kResourceExhausted);
}

// Whether a stream of one event passes.
bool Takes(std::string_view stream, size_t piece) {
  SseDecoder decoder(100);
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    decoder.Feed(stream.substr(0, piece));
    auto event = decoder.Next();
    if (!event) return false;
    if (*event) return true;
  }
  return false;
}

TEST(Sse, CountsAnEventTheSameForAnySplit) {
  for (const char* end : {"\n\n", "\r\n\r\n", "\r\r "}) {
    std::string longest = "data: " + std::string(94, 'x') + end;
    std::string longer = "data: " + std::string(95, 'x') + end;
    for (size_t piece : std::initializer_list<size_t>{1, 7, 50, 1000}) {
      EXPECT_TRUE(Takes(longest, piece)) << piece;
      EXPECT_FALSE(Takes(longer, piece)) << piece;
    }
  }
}

}  // namespace
}  // namespace inferq::http
