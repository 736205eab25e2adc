#include "http/request_head.h"

#include <gtest/gtest.h>

#include "http/request_decoder.h"

namespace inferq::http {
namespace {

int StatusOf(std::string_view head) {
  auto good = CheckRequestHead(head, 10);
  return good ? 200 : good.error().status;
}

std::string WithLines(std::string_view lines) {
  return fmt::format("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines);
}

struct Case {
  std::string head;
  int status;
};
class HeadCase : public testing::TestWithParam<Case> {};

TEST_P(HeadCase, IsJudged) {
  EXPECT_EQ(StatusOf(GetParam().head), GetParam().status) << GetParam().head;
  if (GetParam().status == 200) {
    auto decoder = RequestDecoder::Make(GetParam().head);
    EXPECT_TRUE(decoder) << decoder.error().ToString();
  }
}

INSTANTIATE_TEST_SUITE_P(FirstLine, HeadCase,
                         testing::Values(Case{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
                                         Case{"GET / HTTP/1.0\r\n\r\n", 200},
                                         Case{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200},
                                         Case{"BREW-2 /pot?x=/?y HTTP/1.1\r\nHost: a\r\n\r\n", 200},
                                         Case{"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{" / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
                                         Case{"GET /\r\nHost: a\r\n\r\n", 400},
                                         Case{"\r\n\r\n", 400}));

INSTANTIATE_TEST_SUITE_P(
    Lines, HeadCase,
    testing::Values(Case{WithLines("A: b\r\nC:d \t\r\nE:\r\nF: \xff\r\n"), 200},
                    Case{WithLines("A : b\r\n"), 400}, Case{WithLines("A\t: b\r\n"), 400},
                    Case{WithLines("A: b\r\n c\r\n"), 400}, Case{WithLines("A: b\r\n\tc\r\n"), 400},
                    Case{WithLines(": b\r\n"), 400}, Case{WithLines("A\r\n"), 400},
                    Case{WithLines("A: b\nC: d\r\n"), 400}, Case{WithLines("A: b\rC: d\r\n"), 400},
                    Case{WithLines(std::string("A: b\0c\r\n", 8)), 400},
                    Case{WithLines("A: b\x7f\r\n"), 400}, Case{WithLines("A: b\x1b\r\n"), 400},
                    Case{"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400}));

INSTANTIATE_TEST_SUITE_P(
    Framing, HeadCase,
    testing::Values(
        Case{WithLines("Content-Length: 0\r\n"), 200},
        Case{WithLines("content-LENGTH: 18446744073709551615\r\n"), 200},
        Case{WithLines("Content-Length: 18446744073709551616\r\n"), 400},
        Case{WithLines("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
        Case{WithLines("Content-Length: 5, 5\r\n"), 400},
        Case{WithLines("Content-Length: +5\r\n"), 400},
        Case{WithLines("Content-Length: -5\r\n"), 400},
        Case{WithLines("Content-Length: 0x5\r\n"), 400},
        Case{WithLines("Content-Length: 5 \r\n"), 200}, Case{WithLines("Content-Length:\r\n"), 400},
        Case{WithLines("Transfer-Encoding: chunked\r\n"), 200},
        Case{WithLines("Transfer-Encoding: Chunked\r\n"), 200},
        Case{WithLines("Transfer-Encoding: xchunked\r\n"), 501},
        Case{WithLines("Transfer-Encoding: gzip, chunked\r\n"), 501},
        Case{WithLines("Transfer-Encoding: chunked, chunked\r\n"), 501},
        Case{WithLines("Transfer-Encoding: identity\r\n"), 501},
        Case{WithLines("Transfer-Encoding:\r\n"), 501},
        Case{WithLines("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
        Case{WithLines("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
        Case{WithLines("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
        Case{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        Case{WithLines("Connection: close, x,,\tKeep-Alive\r\n"), 200},
        Case{WithLines("Connection: close;x\r\n"), 400},
        Case{WithLines("Connection: a b\r\n"), 400},
        Case{WithLines("Expect: 100-Continue\r\n"), 200}, Case{WithLines("Expect: 200\r\n"), 417}));

INSTANTIATE_TEST_SUITE_P(Host, HeadCase,
                         testing::Values(Case{"GET / HTTP/1.1\r\n\r\n", 400},
                                         Case{WithLines("Host: a\r\n"), 400},
                                         Case{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200},
                                         Case{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200},
                                         Case{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
                                         Case{"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400}));

TEST(RequestHead, CountsHeaders) {
  std::string lines;
  for (int i = 0; i < 9; ++i) lines += "A: b\r\n";
  EXPECT_EQ(StatusOf(WithLines(lines)), 200);
  EXPECT_EQ(StatusOf(WithLines(lines + "A: b\r\n")), 431);
}

TEST(RequestHead, TheEndIsFoundInPiecesOfAnySize) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string bytes = head + "\r\nrest\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    HeadScan scan;
    for (size_t size = 0; scan.end == HeadEnd::kOpen;) {
      ASSERT_LT(size, bytes.size());
      size = std::min(size + piece, bytes.size());
      scan = ScanHead(std::string_view(bytes).substr(0, size), scan.size);
    }
    EXPECT_EQ(scan.end, HeadEnd::kFound);
    EXPECT_EQ(scan.size, head.size()) << piece;
  }
}

TEST(RequestHead, DecodesPaths) {
  EXPECT_EQ(DecodePath("/a%20b%2f%C3%A4+"), "/a b/\xC3\xA4+");
  for (const char* bad : {"/%", "/%2", "/%zz", "/%2z", "/%00", "/%ff", "/%c3", "/%c0%80",
                          "/%ed%a0%80", "/%e0%80%80", "/%f4%90%80%80", "/%f5%80%80%80"})
    EXPECT_FALSE(DecodePath(bad)) << bad;
  EXPECT_TRUE(DecodePath("/%f0%9f%98%80"));
}

TEST(RequestDecoderTest, TellsWhatIsLeftOfABody) {
  auto decoder = RequestDecoder::Make(WithLines("Content-Length: 5\r\n"));
  ASSERT_TRUE(decoder);
  EXPECT_EQ((*decoder)->remaining(), 5u);
  EXPECT_EQ(*(*decoder)->Feed("abc"), 3u);
  EXPECT_EQ((*decoder)->remaining(), 2u);
  EXPECT_FALSE((*decoder)->done());
  EXPECT_EQ(*(*decoder)->Feed("deGET"), 2u);
  EXPECT_TRUE((*decoder)->done());
  EXPECT_EQ((*decoder)->TakeBody(), "abcde");
}

TEST(RequestDecoderTest, DropsTrailers) {
  auto decoder = RequestDecoder::Make(WithLines("Transfer-Encoding: chunked\r\n"));
  ASSERT_TRUE(decoder);
  EXPECT_EQ((*decoder)->content_length(), std::nullopt);
  const std::string body = "1\r\na\r\n0\r\nHost: evil\r\n\r\n";
  EXPECT_EQ(*(*decoder)->Feed(body), body.size());
  EXPECT_TRUE((*decoder)->done());
  EXPECT_EQ((*decoder)->headers().size(), 2u);
}

}  // namespace
}  // namespace inferq::http
