#include "obs/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::obs {
namespace {

constexpr std::string_view kExample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, IsReadAndWritten) {
  auto context = ParseTraceparent(kExample);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->span_id, "00f067aa0ba902b7");
  EXPECT_EQ(context->flags, 1);
  EXPECT_EQ(context->ToString(), kExample);
  EXPECT_EQ(TraceIdOf(kExample), context->trace_id);
}

TEST(Traceparent, MalformedOnesAreRefused) {
  std::string upper(kExample);
  upper[4] = 'B';
  for (const std::string& bad :
       {std::string(), std::string(kExample.substr(1)), std::string(kExample) + "0",
        std::string(kExample) + "-00", upper,
        std::string("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        std::string("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x"),
        std::string("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}) {
    EXPECT_FALSE(ParseTraceparent(bad)) << bad;
    EXPECT_EQ(TraceIdOf(bad), "");
  }
}

TEST(Traceparent, LaterVersionsAreReadAsVersion0) {
  auto context = ParseTraceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->ToString(), kExample);
  EXPECT_FALSE(ParseTraceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"));
}

TEST(Traceparent, AChildStaysInTheTrace) {
  base::Rng rng(1);
  auto child = ParseTraceparent(ChildOf(kExample, rng));
  ASSERT_TRUE(child);
  EXPECT_EQ(child->trace_id, TraceIdOf(kExample));
  EXPECT_NE(child->span_id, "00f067aa0ba902b7");
  EXPECT_EQ(child->flags, 1);
}

TEST(Traceparent, NewOnesAreWellFormedAndDiffer) {
  base::Rng rng(1);
  std::string first = NewTraceparent(rng), second = NewTraceparent(rng);
  EXPECT_TRUE(ParseTraceparent(first));
  EXPECT_NE(TraceIdOf(first), TraceIdOf(second));
  EXPECT_TRUE(ParseTraceparent(ChildOf("nonsense", rng)));
}

}  // namespace
}  // namespace inferq::obs
