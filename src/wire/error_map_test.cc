#include "wire/error_map.h"

#include <gtest/gtest.h>

#include "wire/json.h"

namespace inferq::wire {
namespace {

using base::Code;
using base::Error;

TEST(ErrorMap, EveryCodeHasAnErrorStatus) {
  for (int i = 0; i <= static_cast<int>(Code::kDeadlineExceeded); ++i) {
    HttpError http = ToHttp(static_cast<Code>(i));
    EXPECT_GE(http.status, 400) << i;
    EXPECT_FALSE(http.type.empty()) << i;
  }
  EXPECT_EQ(ToHttp(Code::kInvalidArgument).status, 400);
  EXPECT_EQ(ToHttp(Code::kResourceExhausted).status, 429);
  EXPECT_EQ(ToHttp(Code::kUnauthenticated).code, "invalid_api_key");
}

TEST(ErrorMap, ARetryableFailureStaysRetryableOverHttp) {
  for (int i = 0; i <= static_cast<int>(Code::kDeadlineExceeded); ++i) {
    auto code = static_cast<Code>(i);
    if (code == Code::kInternal || code == Code::kDataLoss)
      continue;  // 500: another try elsewhere may do
    if (code == Code::kAlreadyExists || code == Code::kFailedPrecondition)
      continue;  // 409, as a lost race
    EXPECT_EQ(IsRetryable(CodeOfStatus(ToHttp(code).status)), IsRetryable(code))
        << base::CodeName(code);
  }
}

TEST(ErrorMap, StatusesOfOtherServers) {
  EXPECT_EQ(CodeOfStatus(400), Code::kInvalidArgument);
  EXPECT_EQ(CodeOfStatus(422), Code::kInvalidArgument);
  EXPECT_EQ(CodeOfStatus(429), Code::kResourceExhausted);
  EXPECT_EQ(CodeOfStatus(500), Code::kUnavailable);
  EXPECT_EQ(CodeOfStatus(529), Code::kUnavailable);
  EXPECT_EQ(CodeOfStatus(408), Code::kUnavailable);
  EXPECT_EQ(CodeOfStatus(302), Code::kInternal);
  EXPECT_EQ(CodeOfStatus(0), Code::kInternal);
}

TEST(ErrorMap, EnvelopeHasFourMembersAndNulls) {
  auto error = Error(Code::kInvalidArgument, "say \"what\"").WithParam("body.model");
  EXPECT_EQ(
      ErrorEnvelope(error),
      R"({"error":{"message":"say \"what\"","type":"invalid_request_error","param":"body.model","code":"invalid_request"}})");
  EXPECT_EQ(ErrorEnvelope(error, "invalid_value").find("invalid_request\""), std::string::npos);
  EXPECT_EQ(
      ErrorEnvelope(Error(Code::kNotFound, "no")),
      R"({"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}})");
}

TEST(ErrorMap, FindsTheMessageInEveryKnownShape) {
  auto text = [](std::string_view body) { return RemoteError(400, body).message(); };
  EXPECT_EQ(text(R"({"error":{"message":"too long","code":null}})"),
            "The server answered 400: too long");
  EXPECT_EQ(text(R"({"object":"error","message":"flat"})"), "The server answered 400: flat");
  EXPECT_EQ(text(R"({"detail":[{"loc":["body"]}]})"),
            R"(The server answered 400: [{"loc":["body"]}])");
  EXPECT_EQ(text(R"({"error":"plain"})"), "The server answered 400: plain");
  EXPECT_EQ(text("<html>"), "The server answered 400: <html>");
  EXPECT_EQ(text(""), "The server answered 400: no explanation");
  EXPECT_EQ(text("[]"), "The server answered 400: []");
  EXPECT_LT(text(std::string(10000, '\xff')).size(), 1200u);
  EXPECT_EQ(RemoteError(503, "").code(), Code::kUnavailable);
}

}  // namespace
}  // namespace inferq::wire
