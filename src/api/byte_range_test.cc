#include "api/byte_range.h"

#include <gtest/gtest.h>

namespace inferq::api {
namespace {

std::string Asked(std::string range, uint64_t size = 100) {
  auto asked = RequestedRange({{"Range", std::move(range)}}, size);
  if (!asked) return std::string(base::CodeName(asked.error().code()));
  if (!*asked) return "all";
  return fmt::format("{}+{}", (*asked)->offset, (*asked)->length);
}

TEST(ByteRange, TheThreeForms) {
  EXPECT_EQ(Asked("bytes=0-0"), "0+1");
  EXPECT_EQ(Asked("bytes=10-19"), "10+10");
  EXPECT_EQ(Asked("bytes=10-"), "10+90");
  EXPECT_EQ(Asked("bytes=99-200"), "99+1");
  EXPECT_EQ(Asked("bytes=-1"), "99+1");
  EXPECT_EQ(Asked("bytes=-200"), "0+100");
  EXPECT_EQ(Asked("bytes=0-18446744073709551615"), "0+100");
}

TEST(ByteRange, BehindTheEndIsRefused) {
  for (const char* range : {"bytes=100-", "bytes=100-200", "bytes=-0"}) {
    EXPECT_EQ(Asked(range), "out_of_range") << range;
  }
  EXPECT_EQ(Asked("bytes=0-", 0), "out_of_range");
  EXPECT_EQ(Asked("bytes=-5", 0), "out_of_range");
}

TEST(ByteRange, WhatIsNotUnderstoodAsksForAll) {
  for (const char* range : {"", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=9-5", "bytes=a-b",
                            "bytes=1-2,5-6", "lines=1-2", "bytes=18446744073709551616-"}) {
    EXPECT_EQ(Asked(range), "all") << range;
  }
  EXPECT_EQ(RequestedRange({}, 5).value(), std::nullopt);
  EXPECT_EQ(RequestedRange({{"range", "bytes=0-0"}, {"if-range", "\"x\""}}, 5).value(),
            std::nullopt);
}

}  // namespace
}  // namespace inferq::api
