#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace inferq::base {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Fail(Code::kInvalidArgument, "{} is odd", n);
  return n / 2;
}

Result<int> Quarter(int n) {
  INFERQ_ASSIGN(int half, Half(n));
  INFERQ_TRY(Half(half));
  return half / 2;
}

TEST(Error, MacrosHandTheFailureOn) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).error().message(), "3 is odd");
  EXPECT_EQ(Quarter(6).error().code(), Code::kInvalidArgument);
}

TEST(Error, AFullDiskIsResourceExhaustedAndNamesTheFile) {
  Error error = ErrnoError(ENOSPC, "write /data/journal");
  EXPECT_EQ(error.code(), Code::kResourceExhausted);
  EXPECT_THAT(error.message(), testing::StartsWith("write /data/journal: "));
}

TEST(Error, OnlyFailuresThatPassAreRetryable) {
  EXPECT_TRUE(IsRetryable(Code::kUnavailable));
  EXPECT_FALSE(IsRetryable(Code::kInvalidArgument));
  EXPECT_FALSE(IsRetryable(Code::kDataLoss));
}

TEST(Error, ContextAndFieldStayWithTheError) {
  Error error =
      Error(Code::kInvalidArgument, "must be positive").WithParam("body.n").WithContext("line 3");
  EXPECT_EQ(error.ToString(), "invalid_argument: line 3: must be positive");
  EXPECT_EQ(error.param(), "body.n");
}

}  // namespace
}  // namespace inferq::base
