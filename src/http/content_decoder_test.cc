#include "http/content_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "http/testing/compress.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Result;
using testing::Gzip;
using ::testing::HasSubstr;
using testing::Zstd;

constexpr uint64_t kAnyRatio = 1'000'000;

struct Coded {
  ContentCoding coding;
  std::string bytes;
};
std::vector<Coded> Both(std::string_view text) {
  return {{ContentCoding::kGzip, Gzip(text)}, {ContentCoding::kZstd, Zstd(text)}};
}

// What comes of `bytes`, fed in pieces of that size.
Result<std::string> Decode(const Coded& coded, size_t piece = SIZE_MAX,
                           uint64_t max_ratio = kAnyRatio) {
  auto decoder = ContentDecoder::Make(coded.coding, max_ratio);
  std::string decoded;
  for (size_t at = 0; at < coded.bytes.size(); at += std::min(piece, coded.bytes.size() - at)) {
    decoder->Feed(coded.bytes.substr(at, piece));
    for (;;) {
      INFERQ_ASSIGN(const std::string next, decoder->Next());
      EXPECT_LE(next.size(), ContentDecoder::kPiece);
      if (next.empty()) break;
      decoded += next;
    }
  }
  INFERQ_TRY(decoder->Finish());
  return decoded;
}

// Letters that compress as a text does.
std::string Text(size_t size) {
  base::Rng rng(1);
  std::string text;
  while (text.size() < size) text += fmt::format("{{\"id\":{}}}\n", rng.Next() % 100'000);
  return text;
}

TEST(ContentDecoder, GivesBackWhatWasEncodedInPiecesOfAnySize) {
  for (const std::string& text : {std::string(), std::string("a"), Text(300'000)}) {
    for (const Coded& coded : Both(text)) {
      for (size_t piece : {size_t{1}, size_t{7}, size_t{4096}, SIZE_MAX}) {
        if (piece == 1 && text.size() > 1000) continue;  // no faster way to see nothing new
        EXPECT_EQ(Decode(coded, piece), text);
      }
    }
  }
}

TEST(ContentDecoder, SeveralMembersAreOneBody) {
  for (auto* encode : {+[](std::string_view text) { return Gzip(text); },
                       +[](std::string_view text) { return Zstd(text); }}) {
    ContentCoding coding = encode("")[0] == '\x1f' ? ContentCoding::kGzip : ContentCoding::kZstd;
    const Coded three{coding, encode("one ") + encode("") + encode("two")};
    EXPECT_EQ(Decode(three), "one two");
    EXPECT_EQ(Decode(three, 1), "one two");
  }
}

TEST(ContentDecoder, NoBytesAreAnEmptyBody) {
  EXPECT_EQ(Decode({ContentCoding::kGzip, ""}), "");
  EXPECT_EQ(Decode({ContentCoding::kZstd, ""}), "");
}

TEST(ContentDecoder, EveryCutIsNoticed) {
  for (const Coded& coded : Both(Text(2000))) {
    for (size_t length = 1; length < coded.bytes.size(); ++length) {
      auto decoded = Decode({coded.coding, coded.bytes.substr(0, length)});
      ASSERT_FALSE(decoded) << length;
      EXPECT_EQ(decoded.error().code(), Code::kInvalidArgument);
      EXPECT_THAT(decoded.error().message(), HasSubstr("cut off"));
    }
  }
}

TEST(ContentDecoder, DamageAndOtherBytesAreRefused) {
  for (Coded coded : Both(Text(2000))) {
    EXPECT_FALSE(Decode({coded.coding, coded.bytes + "more"}));
    EXPECT_FALSE(Decode({coded.coding, "{\"plain\":1}"}));
    std::string damaged = coded.bytes;
    damaged[damaged.size() / 2] ^= 0x55;
    auto decoded = Decode({coded.coding, damaged});
    // zstd without a checksum may yield another text, never a failure of another kind.
    if (coded.coding == ContentCoding::kGzip) {
      ASSERT_FALSE(decoded);
    }
    if (!decoded) {
      EXPECT_EQ(decoded.error().code(), Code::kInvalidArgument);
    }
  }
}

TEST(ContentDecoder, ABombIsStoppedEarly) {
  const std::string zeros(64u << 20, '\0');
  for (const Coded& coded : Both(zeros)) {
    auto decoder = ContentDecoder::Make(coded.coding, 100);
    decoder->Feed(coded.bytes);
    uint64_t decoded = 0;
    Result<std::string> next;
    while ((next = decoder->Next()) && !next->empty()) decoded += next->size();
    ASSERT_FALSE(next) << decoded;
    EXPECT_EQ(next.error().code(), Code::kOutOfRange);
    EXPECT_EQ(next.error().param(), "content-encoding");
    EXPECT_THAT(next.error().message(), HasSubstr("100 times"));
    EXPECT_LE(decoded, 8u << 20);
  }
}

TEST(ContentDecoder, SmallBodiesCompressAsTheyLike) {
  const std::string zeros(ContentDecoder::kFreeBytes, '\0');
  for (const Coded& coded : Both(zeros)) EXPECT_EQ(Decode(coded, SIZE_MAX, 1), zeros);
}

TEST(ContentDecoder, MembersWithoutContentCannotKeepItBusy) {
  std::string empty;
  while (empty.size() <= ContentDecoder::kFreeBytes) empty += Gzip("");
  auto decoded = Decode({ContentCoding::kGzip, empty}, 64u << 10);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code(), Code::kInvalidArgument);
}

TEST(ContentDecoder, ALargeWindowIsRefusedAndASmallOneHeld) {
  const std::string text = Text(1u << 20);
  auto decoded = Decode({ContentCoding::kZstd, Zstd(text, 3, 27)});
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(decoded.error().message(), HasSubstr("8 MiB"));

  auto decoder = ContentDecoder::Make(ContentCoding::kZstd, kAnyRatio);
  const uint64_t before = decoder->memory();
  decoder->Feed(Zstd(text, 3, 23));
  ASSERT_TRUE(decoder->Next());
  EXPECT_GE(decoder->memory(), before + (8u << 20)) << "the window counts";
  EXPECT_LE(decoder->memory(), before + (10u << 20));
}

TEST(ContentCoding, OneOfTheKnownOnesOrNone) {
  using Values = std::vector<std::string>;
  auto of = [](const Values& values) {
    Headers headers{{"Host", "a"}};
    for (const std::string& value : values) headers.push_back({"content-Encoding", value});
    return ContentCodingOf(headers);
  };
  for (const Values& none : {Values{}, Values{""}, Values{"identity"}, Values{" Identity "}})
    EXPECT_EQ(of(none), ContentCoding::kIdentity);
  for (const char* gzip : {"gzip", "GZIP", " x-gzip"}) EXPECT_EQ(of({gzip}), ContentCoding::kGzip);
  EXPECT_EQ(of({"zstd"}), ContentCoding::kZstd);
  for (const Values& bad :
       {Values{"br"}, Values{"deflate"}, Values{"gzip, zstd"}, Values{"gzip", "gzip"}}) {
    auto coding = of(bad);
    ASSERT_FALSE(coding) << bad[0];
    EXPECT_EQ(coding.error().code(), Code::kUnimplemented);
    EXPECT_THAT(coding.error().message(), HasSubstr("gzip, zstd"));
  }
}

}  // namespace
}  // namespace inferq::http
