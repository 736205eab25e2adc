#include "http/response_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::http {
namespace {

using base::Code;

struct Decoded {
  int status = 0;
  std::string body;
  bool keep_alive = false;
};

// Feeds in pieces of `size` bytes, then the end of the connection if the answer is not done.
base::Result<Decoded> Decode(std::string_view bytes, size_t size, uint64_t max_body = 1000) {
  ResponseDecoder decoder(max_body);
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
    INFERQ_TRY(decoder.Feed(bytes.substr(0, size)));
  }
  if (!decoder.done()) INFERQ_TRY(decoder.FeedEnd());
  return Decoded{decoder.head().status, decoder.TakeBody(), decoder.keep_alive()};
}

struct Good {
  const char* bytes;
  int status;
  const char* body;
  bool keep_alive;
};

class GoodAnswer : public testing::TestWithParam<Good> {};

TEST_P(GoodAnswer, IsReadWhateverTheSplit) {
  const Good& good = GetParam();
  for (uint32_t size : {1u, 2u, 3u, 7u, 1000u}) {
    auto got = Decode(good.bytes, size);
    ASSERT_TRUE(got) << got.error().ToString() << " at " << size;
    EXPECT_EQ(got->status, good.status);
    EXPECT_EQ(got->body, good.body);
    EXPECT_EQ(got->keep_alive, good.keep_alive);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Answers, GoodAnswer,
    testing::Values(
        Good{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
        Good{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 200, "hi",
             true},
        Good{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi",
             false},
        Good{"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
        Good{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200,
             "hi", true},
        Good{"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
             "Chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n",
             200, "hi!", true},
        Good{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", true},
        Good{"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", false},
        Good{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false}));

class BadAnswer : public testing::TestWithParam<const char*> {};

TEST_P(BadAnswer, IsAFailureNeverACleanEnd) {
  for (uint32_t size : {1u, 2u, 1000u}) {
    auto got = Decode(GetParam(), size);
    ASSERT_FALSE(got) << "at " << size << ": " << got->body;
    EXPECT_EQ(got.error().code(), Code::kUnavailable);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Answers, BadAnswer,
    testing::Values(
        "", "HTTP/1.1 200 OK\r\nContent-Le", "hello\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",                        // cut
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",  // which one?
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",                     //
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",                       //
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",       // no last chunk
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",  // not quite
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",  // wrong size
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",  //
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhi",  // overflow
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",                  // folded
        "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi"));                                // bare LF

TEST(ResponseDecoder, StopsAtTheLimits) {
  std::string_view counted = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
  std::string_view chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
  std::string_view closed = "HTTP/1.1 200 OK\r\n\r\nabc";
  for (std::string_view bytes : {counted, chunked, closed}) {
    for (uint32_t size : {1u, 1000u}) {
      EXPECT_TRUE(Decode(bytes, size, 3)) << bytes;
      auto over = Decode(bytes, size, 2);
      ASSERT_FALSE(over) << bytes;
      EXPECT_EQ(over.error().code(), Code::kResourceExhausted);
    }
  }
  auto head = Decode("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'), 1000);
  EXPECT_EQ(head.error().code(), Code::kResourceExhausted);
}

TEST(ResponseDecoder, AConnectionWithBytesToSpareIsNotKept) {
  auto got = Decode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", 1000);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "hi");
  EXPECT_FALSE(got->keep_alive);
}

}  // namespace
}  // namespace inferq::http
