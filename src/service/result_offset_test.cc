#include "service/result_offset.h"

#include <gtest/gtest.h>

namespace inferq::service {
namespace {

using base::Code;

constexpr ResultOffset kBegin{.filter = ResultFilter::kSucceeded, .batch = 7};
constexpr ResultOffset kSome{.filter = ResultFilter::kSucceeded,
                             .batch = 7,
                             .finish_sequence = UINT64_MAX,
                             .output_bytes = 4096,
                             .error_bytes = 3};

TEST(ResultOffset, ReadsBackAsItWas) {
  EXPECT_EQ(ParseResultOffset(ToString(kSome), kBegin).value(), kSome);
  EXPECT_EQ(ParseResultOffset(ToString(kBegin), kBegin).value(), kBegin);
  EXPECT_EQ(ParseResultOffset("", kBegin).value(), kBegin);
}

TEST(ResultOffset, IsOfOneBatchAndOneFilter) {
  for (ResultOffset other : {ResultOffset{.filter = ResultFilter::kSucceeded, .batch = 8},
                             ResultOffset{.filter = ResultFilter::kAll, .batch = 7}}) {
    auto read = ParseResultOffset(ToString(kSome), other);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument);
    EXPECT_EQ(read.error().param(), "after");
  }
}

TEST(ResultOffset, NothingElseIsOne) {
  for (const char* text : {"s", "7", "s7", "s7.1.1", "s7.1.1.", "s7.1.1.1.", "s7.1.1.1.1",
                           "s7.-1.1.1", "s07.1.1.1", "s7.1.1.1 ", "s7.1 .1.1", "S7.1.1.1",
                           "s7.G.1.1", "s7.10000000000000000.1.1", "s7.A.1.1", "batch_req_1"}) {
    EXPECT_FALSE(ParseResultOffset(text, kBegin)) << text;
  }
}

}  // namespace
}  // namespace inferq::service
