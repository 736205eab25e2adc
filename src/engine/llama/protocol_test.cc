#include "engine/llama/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "engine/llama/codec.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using testing::HasSubstr;

// Any bytes: the protocol carries what it is given.
rc::Gen<std::string> Text() { return rc::gen::container<std::string>(rc::gen::arbitrary<char>()); }

double AnyDouble() {
  return *rc::gen::map(rc::gen::arbitrary<int32_t>(), [](int32_t n) { return n / 64.0; });
}

template <class T>
std::optional<T> Maybe(rc::Gen<T> gen) {
  return *rc::gen::arbitrary<bool>() ? std::optional<T>(*gen) : std::nullopt;
}

wire::TokenScore AnyScore() { return {.bytes = *Text(), .logprob = AnyDouble()}; }

std::vector<wire::ToolCall> AnyCalls() {
  std::vector<wire::ToolCall> calls;
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) calls.push_back({*Text(), *Text(), *Text()});
  return calls;
}

GenerateRequest AnyRequest() {
  GenerateRequest request;
  request.endpoint = *rc::gen::element(Endpoint::kChatCompletions, Endpoint::kCompletions);
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    request.messages.push_back({*Text(), *Text(), AnyCalls(), *Text(), *Text()});
  }
  request.prompt = *Text();
  request.sampling = {.temperature = AnyDouble(),
                      .top_p = AnyDouble(),
                      .top_k = *rc::gen::arbitrary<uint32_t>(),
                      .min_p = AnyDouble(),
                      .seed = Maybe(rc::gen::arbitrary<uint64_t>()),
                      .repeat_penalty = AnyDouble(),
                      .frequency_penalty = AnyDouble(),
                      .presence_penalty = AnyDouble()};
  request.max_tokens = Maybe(rc::gen::arbitrary<uint64_t>());
  request.stop = *rc::gen::container<std::vector<std::string>>(Text());
  request.ignore_eos = *rc::gen::arbitrary<bool>();
  request.n = *rc::gen::inRange(1u, kMaxChoices + 1);
  request.interactive = *rc::gen::arbitrary<bool>();
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    request.sampling.logit_bias.push_back({*rc::gen::nonNegative<int32_t>(), AnyDouble()});
  }
  request.logprobs = *rc::gen::arbitrary<bool>();
  request.top_logprobs = *rc::gen::inRange(0u, wire::kMaxTopLogprobs + 1);
  request.json_schema = *Text();
  request.grammar = *Text();
  request.tools = *Text();
  request.tool_choice = static_cast<wire::ToolChoice>(*rc::gen::inRange(0, 3));
  request.parallel_tool_calls = Maybe(rc::gen::arbitrary<bool>());
  return request;
}

Code AnyCode() { return static_cast<Code>(*rc::gen::inRange(0, 15)); }

SequenceDelta AnyDelta() {
  SequenceDelta delta;
  delta.id = *rc::gen::arbitrary<uint64_t>();
  delta.text = *Text();
  delta.tokens = *rc::gen::arbitrary<uint64_t>();
  if (*rc::gen::arbitrary<bool>()) {
    delta.finish_reason = static_cast<FinishReason>(*rc::gen::inRange(0, 5));
    delta.usage = {.prompt_tokens = *rc::gen::arbitrary<uint64_t>(),
                   .completion_tokens = *rc::gen::arbitrary<uint64_t>(),
                   .cached_tokens = *rc::gen::arbitrary<uint64_t>(),
                   .distinct_tokens = *rc::gen::arbitrary<uint64_t>()};
  }
  delta.choice = *rc::gen::inRange(0u, kMaxChoices);
  delta.tool_calls = AnyCalls();
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    wire::TokenLogprob& token = delta.logprobs.emplace_back();
    token.token = AnyScore();
    token.offset = *rc::gen::arbitrary<uint64_t>();
    for (int j = *rc::gen::inRange(0, 3); j > 0; --j) token.top.push_back(AnyScore());
  }
  if (*rc::gen::arbitrary<bool>()) delta.error = RequestError{AnyCode(), *Text(), *Text()};
  return delta;
}

Embed AnyEmbed() {
  Embed embed{.batch = *rc::gen::arbitrary<uint64_t>(), .inputs = {}};
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    embed.inputs.push_back({.id = *rc::gen::arbitrary<uint64_t>(),
                            .index = *rc::gen::arbitrary<uint32_t>(),
                            .text = *Text(),
                            .tokens = *rc::gen::arbitrary<std::vector<int32_t>>(),
                            .dimensions = *rc::gen::arbitrary<uint32_t>()});
  }
  return embed;
}

Embedded AnyEmbedded() {
  Embedded embedded{
      .batch = *rc::gen::arbitrary<uint64_t>(), .results = {}, .last = *rc::gen::arbitrary<bool>()};
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    Embedding& result = embedded.results.emplace_back();
    result.id = *rc::gen::arbitrary<uint64_t>();
    result.index = *rc::gen::arbitrary<uint32_t>();
    result.tokens = *rc::gen::arbitrary<uint64_t>();
    for (int k = *rc::gen::inRange(0, 9); k > 0; --k)
      result.vector.push_back(static_cast<float>(AnyDouble()));
    if (*rc::gen::arbitrary<bool>()) result.error = RequestError{AnyCode(), *Text(), *Text()};
  }
  return embedded;
}

Message AnyMessage() {
  switch (*rc::gen::inRange(0, 10)) {
    case 0:
      return Hello{.version = *rc::gen::arbitrary<uint32_t>(),
                   .model = *Text(),
                   .context_tokens = *rc::gen::arbitrary<uint64_t>(),
                   .slots = *rc::gen::arbitrary<uint32_t>(),
                   .threads = *rc::gen::arbitrary<uint32_t>(),
                   .batch_tokens = *rc::gen::arbitrary<uint32_t>(),
                   .vocabulary = *rc::gen::arbitrary<uint64_t>(),
                   .parameters = *rc::gen::arbitrary<uint64_t>(),
                   .has_chat_template = *rc::gen::arbitrary<bool>(),
                   .embed_tokens = *rc::gen::arbitrary<uint64_t>()};
    case 1:
      return LoadError{AnyCode(), *Text(), *rc::gen::arbitrary<bool>()};
    case 2:
      return Submit{*rc::gen::arbitrary<uint64_t>(), AnyRequest()};
    case 3:
      return Cancel{*rc::gen::arbitrary<uint64_t>()};
    case 4:
      return Stop{};
    case 5:
      return Started{*rc::gen::arbitrary<std::vector<uint64_t>>()};
    case 6:
      return Parked{*rc::gen::arbitrary<std::vector<uint64_t>>()};
    case 7:
      return AnyEmbed();
    case 8:
      return AnyEmbedded();
    default: {
      Step step;
      step.stats = {.steps = *rc::gen::arbitrary<uint64_t>(),
                    .computed_tokens = *rc::gen::arbitrary<uint64_t>(),
                    .shared_tokens = *rc::gen::arbitrary<uint64_t>(),
                    .distinct_tokens = *rc::gen::arbitrary<uint64_t>(),
                    .generated_tokens = *rc::gen::arbitrary<uint64_t>(),
                    .pauses = *rc::gen::arbitrary<uint64_t>(),
                    .running = *rc::gen::arbitrary<uint64_t>(),
                    .waiting = *rc::gen::arbitrary<uint64_t>(),
                    .kv_used = *rc::gen::arbitrary<uint64_t>(),
                    .kv_cells = *rc::gen::arbitrary<uint64_t>(),
                    .shared_cache = *rc::gen::arbitrary<bool>()};
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) step.deltas.push_back(AnyDelta());
      return step;
    }
  }
}

std::string Payload(const Message& message) {
  return EncodeFrame(message)->substr(kFrameHeaderBytes);
}

RC_GTEST_PROP(Protocol, WhatIsEncodedIsDecoded, ()) {
  const Message message = AnyMessage();
  const auto decoded = DecodePayload(Payload(message));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == message);
}

RC_GTEST_PROP(Protocol, FramesComeOutOfAnyPieces, ()) {
  std::vector<Message> messages;
  std::string stream;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
    messages.push_back(AnyMessage());
    stream += *EncodeFrame(messages.back());
  }
  FrameReader reader;
  std::vector<Message> decoded;
  for (std::string_view rest = stream; !rest.empty();) {
    const size_t size = *rc::gen::inRange<size_t>(1, rest.size() + 1);
    reader.Append(rest.substr(0, size));
    rest.remove_prefix(size);
    for (;;) {
      const auto payload = reader.Next();
      RC_ASSERT(payload.has_value());
      if (!*payload) break;
      decoded.push_back(*DecodePayload(**payload));
    }
  }
  RC_ASSERT(decoded == messages);
}

// The sanitizers see what a wrong length would read.
RC_GTEST_PROP(Protocol, DamagedMessagesAreErrorsOrMessagesNeverWorse, ()) {
  std::string payload = Payload(AnyMessage());
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
    payload[*rc::gen::inRange<size_t>(0, payload.size())] = *rc::gen::arbitrary<char>();
  }
  payload.resize(*rc::gen::inRange<size_t>(0, payload.size() + 1));
  const auto decoded = DecodePayload(payload);
  if (!decoded) RC_ASSERT(decoded.error().code() == Code::kDataLoss);
}

RC_GTEST_PROP(Protocol, RandomBytesAreErrorsOrMessagesNeverWorse, ()) {
  const std::string bytes = *Text();
  (void)DecodePayload(bytes);
  FrameReader reader;
  reader.Append(bytes);
  for (auto payload = reader.Next(); payload && *payload; payload = reader.Next()) {
    (void)DecodePayload(**payload);
  }
}

TEST(Protocol, AFrameBeyondTheLimitIsAnError) {
  const Submit huge{1, GenerateRequest{.messages = {},
                                       .prompt = std::string(kMaxFrameBytes, 'x'),
                                       .sampling = {},
                                       .max_tokens = {},
                                       .stop = {}}};
  EXPECT_EQ(EncodeFrame(huge).error().code(), Code::kResourceExhausted);
  FrameReader reader;
  reader.Append({"\x01\x00\x00\x04", 4});  // 64 MiB + 1
  EXPECT_EQ(reader.Next().error().code(), Code::kDataLoss);
}

TEST(Protocol, UnknownFieldsAreSkippedAndUnknownMessagesRefused) {
  FieldWriter newer;
  newer.Uint(1, 7);
  newer.Bytes(99, "from the future");
  const auto decoded = DecodePayload(std::string(1, '\3') + std::move(newer).Take());
  EXPECT_EQ(std::get<Cancel>(*decoded).id, 7u);
  EXPECT_THAT(DecodePayload("\x55").error().message(), HasSubstr("unknown message 85"));
  EXPECT_THAT(DecodePayload("").error().message(), HasSubstr("empty"));
}

TEST(Protocol, HalfANumberIsDamage) {
  FieldWriter input;
  input.Bytes(4, "12345");
  FieldWriter embed;
  embed.Bytes(2, std::move(input).Take());
  EXPECT_EQ(DecodePayload(std::string(1, '\10') + std::move(embed).Take()).error().code(),
            Code::kDataLoss);
}

TEST(Protocol, WrongTypesAndRangesAreErrors) {
  FieldWriter text_as_id;
  text_as_id.Bytes(1, "seven");
  EXPECT_FALSE(DecodePayload(std::string(1, '\3') + std::move(text_as_id).Take()));
  FieldWriter no_such_code;
  no_such_code.Uint(1, 200);
  EXPECT_FALSE(DecodePayload(std::string(1, '\1') + std::move(no_such_code).Take()));
  EXPECT_FALSE(
      DecodePayload({"\3\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}));  // endless number
  EXPECT_FALSE(DecodePayload({"\3\6\x7f", 3}));                              // longer than the rest
}

}  // namespace
}  // namespace inferq::engine::llama
