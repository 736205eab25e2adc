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

}  // namespace
}  // namespace inferq::http
