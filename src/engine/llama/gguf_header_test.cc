#include "engine/llama/gguf_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "engine/llama/gguf_bytes.h"

namespace inferq::engine::llama {
namespace {

using ::testing::AllOf;
using testing::BytesFile;
using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SmallModel;

constexpr size_t kSmallWeights = 192;

base::Result<GgufHeader> Read(std::string_view bytes, const GgufLimits& limits = {}) {
  BytesFile file(bytes);
  return ReadGgufHeader(file, "m.gguf", limits);
}

std::string Problem(std::string_view bytes, const GgufLimits& limits = {}) {
  auto header = Read(bytes, limits);
  if (header) return "read";
  EXPECT_EQ(header.error().code(), base::Code::kInvalidArgument);
  EXPECT_THAT(header.error().message(), HasSubstr("m.gguf"));
  return header.error().message();
}

TEST(GgufHeader, ReadsKeysListsAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    const std::string bytes = SmallModel().Build(kSmallWeights, version);
    auto header = Read(bytes);
    ASSERT_TRUE(header) << header.error().message();
    EXPECT_EQ(header->version, version);
    EXPECT_EQ(*header->Text("general.name"), "small");
    EXPECT_EQ(header->Unsigned("glm4.block_count"), 2u);
    EXPECT_EQ(header->List("tokenizer.ggml.tokens")->count, 3u);
    EXPECT_THAT(header->List("tokenizer.ggml.tokens")->numbers, IsEmpty());
    EXPECT_THAT(header->List("tokenizer.ggml.token_type")->numbers, ElementsAre(1, 1, -3));
    ASSERT_EQ(header->tensors.size(), 2u);
    EXPECT_EQ(header->tensors[0].elements, 64u);
    EXPECT_EQ(header->tensors[0].bytes, 128u);
    EXPECT_EQ(header->data_offset % 32, 0u);
    EXPECT_EQ(header->data_end, bytes.size());
  }
}

TEST(GgufHeader, ReadsEveryKindOfNumber) {
  GgufBytes file;
  file.Raw("u8", 0, "\xFF").Raw("i8", 1, "\xFF").Raw("i64", 11, GgufBytes::U64(7));
  file.Raw("f32", 6, GgufBytes::U32(0x3fc00000)).Raw("yes", 7, "\1");
  file.Raw("f64", 12, GgufBytes::U64(0x3ff8000000000000)).Raw("i16", 3, "\xFE\xFF");
  auto header = Read(file.Build());
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->Unsigned("u8"), 255u);
  EXPECT_EQ(header->Unsigned("i8"), std::nullopt);
  EXPECT_EQ(header->Number("i8"), -1);
  EXPECT_EQ(header->Number("i16"), -2);
  EXPECT_EQ(header->Unsigned("i64"), 7u);
  EXPECT_EQ(header->Number("f32"), 1.5);
  EXPECT_EQ(header->Number("f64"), 1.5);
  EXPECT_EQ(header->Flag("yes"), true);
  EXPECT_EQ(header->Text("yes"), nullptr);
}

TEST(GgufHeader, ATruncatedDownloadIsToldHowMuchIsMissing) {
  const std::string whole = SmallModel().Build(kSmallWeights);
  EXPECT_THAT(Problem(whole.substr(0, whole.size() - 1)),
              HasSubstr("is 1 bytes short: it has " + std::to_string(whole.size() - 1)));
  EXPECT_THAT(Problem(whole.substr(0, whole.size() - kSmallWeights)),
              HasSubstr("is 192 bytes short"));
  for (size_t size = 24; size + kSmallWeights + 32 < whole.size(); ++size) {
    EXPECT_THAT(Problem(whole.substr(0, size)),
                AllOf(HasSubstr("goes beyond the end of the file"), HasSubstr("download it again")))
        << size;
  }
}

TEST(GgufHeader, NamesTheKeyAndTheByte) {
  const std::string bytes = SmallModel().Build();
  const size_t at = bytes.find("small");
  EXPECT_THAT(Problem(bytes.substr(0, at + 2)),
              AllOf(HasSubstr("key 'general.name'"), HasSubstr(fmt::format("at byte {}", at))));
  EXPECT_THAT(Problem(GgufBytes().Raw("odd\n", 8, GgufBytes::U64(UINT64_MAX)).Build()),
              HasSubstr("key 'odd?'"));
}

// A count must cost nothing: no room is made for what is only promised.
TEST(GgufHeader, PromisesAreNotBelieved) {
  const auto promise = [](uint64_t tensors, uint64_t keys) {
    return "GGUF" + GgufBytes::U32(3) + GgufBytes::U64(tensors) + GgufBytes::U64(keys);
  };
  EXPECT_THAT(Problem(promise(UINT64_MAX, 0)), HasSubstr("promises"));
  EXPECT_THAT(Problem(promise(0, 65'537)), HasSubstr("promises"));
  EXPECT_THAT(Problem(promise(65'536, 0)), HasSubstr("tensor 1 of 65536"));
  const auto list = [](uint32_t type, uint64_t count) {
    return GgufBytes().Raw("list", 9, GgufBytes::U32(type) + GgufBytes::U64(count)).Build();
  };
  for (const uint32_t type : {0u, 4u, 6u, 8u, 10u}) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{4096}, uint64_t{4097}, uint64_t{1} << 61,
                                 uint64_t{1} << 63, UINT64_MAX}) {
      EXPECT_THAT(Problem(list(type, count)), HasSubstr("key 'list'")) << type << " " << count;
    }
  }
  EXPECT_THAT(Problem(GgufBytes().Raw("text", 8, GgufBytes::U64(UINT64_MAX)).Build()),
              HasSubstr("goes beyond the end"));
}

TEST(GgufHeader, LimitsAreKept) {
  GgufLimits small{.header_bytes = 200, .text_bytes = 3, .list_items = 2};
  auto header = Read(GgufBytes()
                         .Set("text", "abcdef")
                         .Set("list", std::vector<int32_t>{1, 2, 3})
                         .Set("more", uint32_t{5})
                         .Build(),
                     small);
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(*header->Text("text"), "abc");
  EXPECT_EQ(header->List("list")->count, 3u);
  EXPECT_THAT(header->List("list")->numbers, IsEmpty());
  EXPECT_EQ(header->Unsigned("more"), 5u);
  EXPECT_THAT(Problem(GgufBytes().Set("text", std::string(300, 'x')).Build(), small),
              HasSubstr("more than any model has"));
  EXPECT_THAT(Problem(GgufBytes().Set(std::string(65'536, 'k'), uint32_t{1}).Build()),
              HasSubstr("a name of 65536 bytes"));
  EXPECT_THAT(Problem(GgufBytes().Tensor(std::string(64, 't'), {1}, 0, 0).Build(4)),
              HasSubstr("a name of 64 bytes"));
}

TEST(GgufHeader, RefusesWhatCannotBe) {
  EXPECT_THAT(Problem(GgufBytes().Raw("k", 13, "").Build()), HasSubstr("type 13"));
  EXPECT_THAT(Problem(GgufBytes().Raw("k", 9, GgufBytes::U32(9) + GgufBytes::U64(1)).Build()),
              HasSubstr("items of type 9"));
  EXPECT_THAT(Problem(GgufBytes().Set("k", uint32_t{1}).Set("k", uint32_t{2}).Build()),
              HasSubstr("key 'k' (at byte 58) is there twice"));
  EXPECT_THAT(Problem(GgufBytes().Tensor("t", {8}, 0, 0).Tensor("t", {8}, 0, 32).Build(64)),
              HasSubstr("tensor 't'"));
  EXPECT_THAT(Problem(GgufBytes().Tensor("t", {1, 1, 1, 1, 1}, 0, 0).Build(64)),
              HasSubstr("5 dimensions"));
  EXPECT_THAT(Problem(GgufBytes().Set("general.alignment", uint32_t{0}).Build()),
              HasSubstr("power of 2"));
  EXPECT_THAT(Problem(GgufBytes().Set("general.alignment", uint32_t{48}).Build()),
              HasSubstr("power of 2"));
  EXPECT_THAT(Problem(SmallModel().Build(kSmallWeights, 1)), HasSubstr("GGUF version 1"));
}

TEST(GgufHeader, TensorsLieInTheFileOneBehindTheOther) {
  const auto one = [](const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset) {
    return Problem(GgufBytes().Tensor("t", shape, type, offset).Build(64));
  };
  EXPECT_EQ(one({16}, 0, 0), "read");
  EXPECT_THAT(one({17}, 0, 0), HasSubstr("4 bytes short"));
  EXPECT_THAT(one({16}, 0, 32), HasSubstr("lies at 32 of the weights, where 0 is expected"));
  EXPECT_THAT(one({16}, 0, UINT64_MAX), HasSubstr("damaged"));
  EXPECT_THAT(one({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), HasSubstr("can be counted"));
  EXPECT_THAT(one({uint64_t{1} << 62}, 0, 0), HasSubstr("can be counted"));
  EXPECT_THAT(one({uint64_t{1} << 60}, 0, 0), HasSubstr("damaged"));
  EXPECT_THAT(one({16}, 8, 0), HasSubstr("blocks of 32"));
  EXPECT_EQ(one({5}, 99, 0), "read");  // a type of tomorrow: the engine decides
  EXPECT_THAT(Problem(GgufBytes().Tensor("a", {8}, 0, 0).Tensor("b", {8}, 0, 0).Build(64)),
              HasSubstr("tensor 'b'"));
}

// What is kept of a file is never more than the file.
TEST(GgufHeader, ThousandsOfDamagedFilesEndWithAnAnswer) {
  base::Rng rng(7);
  const std::string good = SmallModel().Build(kSmallWeights);
  constexpr uint64_t kOdd[] = {0,          1,          3,          13,
                               63,         0xFFFF,     1u << 31,   UINT32_MAX,
                               1ull << 40, 1ull << 61, 1ull << 63, UINT64_MAX};
  uint64_t refused = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes = good;
    for (uint64_t n = rng.Below(3) + 1; n > 0; --n) {
      const size_t at = rng.Below(bytes.size());
      if (rng.Chance(0.1)) bytes.resize(at + 1);
      const uint64_t odd = kOdd[rng.Below(std::size(kOdd))];
      const std::string patch =
          rng.Chance(0.5) ? GgufBytes::U64(odd) : GgufBytes::U32(static_cast<uint32_t>(odd));
      if (rng.Chance(0.3))
        bytes[at] = static_cast<char>(rng.Below(256));
      else
        bytes.replace(at, std::min(patch.size(), bytes.size() - at), patch);
    }
    auto header = Read(bytes);
    if (!header) {
      ++refused;
      EXPECT_THAT(header.error().message(), HasSubstr("m.gguf"));
      EXPECT_LT(header.error().message().size(), 500u);
      continue;
    }
    EXPECT_LE(header->data_end, bytes.size());
    for (const GgufTensor& tensor : header->tensors)
      EXPECT_LE(header->data_offset + tensor.offset + tensor.bytes, bytes.size());
  }
  EXPECT_GT(refused, 15'000u);
}

}  // namespace
}  // namespace inferq::engine::llama
