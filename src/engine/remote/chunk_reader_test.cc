#include "engine/remote/chunk_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::engine {
namespace {

using base::Code;
using base::Result;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kFirst =
    R"({"id":"c","choices":[{"index":0,"delta":{"content":"时间"},"finish_reason":null}],"x":1.50})";
constexpr std::string_view kLast = R"({"choices":[{"delta":{},"finish_reason":"length"}]})";
constexpr std::string_view kUsage =
    R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,)"
    R"("prompt_tokens_details":{"cached_tokens":4}}})";
constexpr std::string_view kDone = "[DONE]";

std::string Events(std::initializer_list<std::string_view> events) {
  std::string out;
  for (std::string_view event : events) out += fmt::format("data: {}\n\n", event);
  return out;
}

// Feeds in pieces of `size` bytes and then the end.
Result<Delta> Read(std::string_view stream, size_t size = 1u << 20, bool usage_wanted = false) {
  ChunkReader reader(usage_wanted);
  Delta whole;
  for (; !whole.finish_reason; stream.remove_prefix(std::min(size, stream.size()))) {
    auto delta = stream.empty() ? reader.End() : reader.Feed(stream.substr(0, size));
    if (!delta) return delta;
    std::ranges::move(delta->raw_chunks, std::back_inserter(whole.raw_chunks));
    whole.tokens += delta->tokens;
    whole.finish_reason = delta->finish_reason;
    whole.usage = delta->usage;
  }
  return whole;
}

Result<Delta> ReadOne(std::string_view event) { return Read(Events({event, kDone})); }

std::string Body(std::string_view json) {
  StreamedBody body = BodyForStream(*wire::ParseJson(json));
  return fmt::format("{}{}", body.usage_wanted ? "wanted " : "", body.json);
}

TEST(BodyForStream, AsksForAStreamAndItsUsage) {
  EXPECT_EQ(Body(R"({"a":1.0,"stream":false,"z":[]})"),
            R"({"a":1.0,"stream":true,"z":[],"stream_options":{"include_usage":true}})");
  EXPECT_EQ(Body(R"({"stream_options":null})"),
            R"({"stream_options":{"include_usage":true},"stream":true})");
  EXPECT_EQ(Body(R"({"stream_options":{"x":1,"include_usage":false},"stream":true})"),
            R"({"stream_options":{"x":1,"include_usage":true},"stream":true})");
  EXPECT_EQ(Body(R"({"stream":true,"stream_options":{"include_usage":true,"x":1}})"),
            R"(wanted {"stream":true,"stream_options":{"include_usage":true,"x":1}})");
  EXPECT_EQ(Body(R"({"stream_options":7})"), R"({"stream_options":7,"stream":true})");
}

TEST(ChunkReader, GivesTheSameChunksForAnySplit) {
  std::string stream = ": hello\n\n" + Events({kFirst}) + "event: x\r\nid: 7\r\n" +
                       Events({kLast, kUsage, kDone, "after the end"});
  for (size_t size = 1; size <= stream.size(); ++size) {
    auto whole = Read(stream, size);
    ASSERT_TRUE(whole) << whole.error().ToString();
    EXPECT_THAT(whole->raw_chunks, ElementsAre(kFirst, kLast)) << size;
    EXPECT_THAT(whole->text, IsEmpty());
    EXPECT_EQ(whole->finish_reason, FinishReason::kLength);
    EXPECT_EQ(whole->usage.prompt_tokens, 5u);
    EXPECT_EQ(whole->usage.completion_tokens, 3u);
    EXPECT_EQ(whole->usage.cached_tokens, 4u);
    EXPECT_EQ(whole->tokens, 3u);
  }
}

TEST(ChunkReader, EveryChoiceHasADelta) {
  auto whole =
      Read(Events({R"({"choices":[{"delta":{"content":"a"}},{"text":"b"}]})",
                   "{\"choices\":[{\"index\":0,\ndata: \"finish_reason\":\"stop\"},{}]}", kDone}),
           7);
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_THAT(
      whole->raw_chunks,
      ElementsAre(R"({"choices":[{"delta":{"content":"a"}},{"text":"b"}]})",
                  R"({"choices":[{"index":0,"finish_reason":"stop","delta":{}},{"delta":{}}]})"));
}

TEST(ChunkReader, HandsTheUsageOnWhereItIsWanted) {
  auto whole = Read(Events({kLast, kUsage, kDone}), 7, true);
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->raw_chunks, ElementsAre(kLast, kUsage));
}

TEST(ChunkReader, CountsTokensOnceWhereEveryChunkHasTheUsage) {
  std::string_view one =
      R"({"choices":[{"text":"a","finish_reason":null}],"usage":{"completion_tokens":1}})";
  std::string_view two =
      R"({"choices":[{"text":"b","finish_reason":"stop"}],"usage":{"completion_tokens":2}})";
  auto whole = Read(Events({one, two, kUsage, kDone}));
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->raw_chunks, ElementsAre(one, two));
  EXPECT_EQ(whole->tokens, 3u);
}

TEST(ChunkReader, SkipsWhatIsNoChunk) {
  std::string_view filters = R"({"choices":[],"prompt_filter_results":[]})";
  auto whole = Read(Events({filters, R"({"type":"ping"})", R"({"choices":null})", kLast, kDone}));
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->raw_chunks, ElementsAre(filters, kLast));
}

TEST(ChunkReader, AChunkOfManyLinesBecomesOne) {
  auto whole = Read("data: {\"choices\":\ndata:  [{\"text\":\"a\\nb\"}]}\n\n" + Events({kDone}));
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->raw_chunks, ElementsAre(R"({"choices":[{"text":"a\nb"}]})"));
}

TEST(ChunkReader, TheLastChoiceThatNamesAReasonCounts) {
  auto end = [](std::string_view choices) {
    return ReadOne(fmt::format(R"({{"choices":[{}],"error":null}})", choices))->finish_reason;
  };
  EXPECT_EQ(end(R"({"finish_reason":"stop"},{"finish_reason":"tool_calls"},{})"),
            FinishReason::kToolCalls);
  EXPECT_EQ(end(R"({"finish_reason":"something new"})"), FinishReason::kStop);
  EXPECT_EQ(end("{}"), FinishReason::kStop);
}

TEST(ChunkReader, AStreamWithoutDoneEndsWithItsLastReason) {
  auto whole = Read(Events({kFirst, kLast}));
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_EQ(whole->finish_reason, FinishReason::kLength);
}

TEST(ChunkReader, ACutStreamIsUnavailable) {
  std::string unfinished = Events({kFirst}) + "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}";
  for (const std::string& cut : {Events({kFirst}), unfinished}) {
    auto whole = Read(cut);
    ASSERT_FALSE(whole);
    EXPECT_THAT(whole.error().ToString(), AllOf(HasSubstr("unavailable"), HasSubstr("cut off")));
  }
}

class NoStream : public testing::TestWithParam<const char*> {};

TEST_P(NoStream, IsUnavailable) {
  auto whole = Read(GetParam());
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code(), Code::kUnavailable);
  EXPECT_THAT(whole.error().message(), HasSubstr("server"));
}

INSTANTIATE_TEST_SUITE_P(
    Streams, NoStream,
    testing::Values("", "<html>\n\n", "data: <html>\n\n", "data: {\"a\"\n\n", "data: [DONE]\n\n",
                    "data: [1]\n\n", "data: {\"choices\":[{\"finish_reason\":\"abort\"}]}\n\n"));

struct ErrorCase {
  const char* event;
  Code code;
};
class ErrorEvents : public testing::TestWithParam<ErrorCase> {};

TEST_P(ErrorEvents, SayWhatToDo) {
  auto whole = Read(Events({kFirst, GetParam().event, kDone}));
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code(), GetParam().code);
  EXPECT_THAT(whole.error().message(), HasSubstr("because"));
}

INSTANTIATE_TEST_SUITE_P(
    Events, ErrorEvents,
    testing::Values(
        ErrorCase{R"({"error":{"message":"because","code":400}})", Code::kInvalidArgument},
        ErrorCase{R"({"error":{"message":"because","code":"429"}})", Code::kResourceExhausted},
        ErrorCase{R"({"error":{"message":"because","code":500}})", Code::kUnavailable},
        ErrorCase{R"({"error":{"message":"because","type":"rate_limit_error","code":null}})",
                  Code::kResourceExhausted},
        ErrorCase{R"({"error":{"message":"because","type":"invalid_request_error","code":7}})",
                  Code::kInvalidArgument},
        ErrorCase{R"({"error":{"message":"because","type":"server_error","code":7}})",
                  Code::kUnavailable},
        ErrorCase{R"({"error":"because"})", Code::kUnavailable},
        ErrorCase{R"({"object":"error","message":"because","code":400})", Code::kInvalidArgument},
        ErrorCase{R"({"error":{"why":"because"}})", Code::kUnavailable}));

TEST(ChunkReader, AnErrorMayBeNamedByItsEvent) {
  auto whole = Read("event: error\ndata: {\"message\":\"because\",\"param\":\"n\"}\n\n");
  ASSERT_FALSE(whole);
  EXPECT_THAT(whole.error().message(), HasSubstr("because"));
  EXPECT_EQ(whole.error().param(), "body.n");
}

}  // namespace
}  // namespace inferq::engine
