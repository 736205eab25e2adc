#include "engine/llama/text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "wire/json.h"

namespace inferq::engine::llama {
namespace {

// Feeds the text in pieces cut at random.
template <class Sink>
std::string FeedInPieces(std::string_view text, Sink& sink) {
  std::string out;
  while (!text.empty()) {
    const size_t size = *rc::gen::inRange<size_t>(1, std::min<size_t>(text.size(), 5) + 1);
    out += sink.Feed(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out + sink.Finish();
}

std::string Assemble(std::string_view bytes) {
  Utf8Assembler utf8;
  std::string out = utf8.Feed(bytes);
  return out + utf8.Finish();
}

TEST(Utf8Assembler, HoldsACharacterBackUntilItIsWhole) {
  Utf8Assembler utf8;
  EXPECT_EQ(utf8.Feed("a\xe4\xbd"), "a");
  EXPECT_EQ(utf8.Feed("\xa0\xf0\x9f"), "你");
  EXPECT_EQ(utf8.Feed("\x98\x80!"), "😀!");
  EXPECT_EQ(utf8.Finish(), "");
}

TEST(Utf8Assembler, ReplacesEachMaximalInvalidPart) {
  EXPECT_EQ(Assemble("a\xff"
                     "b"),
            "a\uFFFDb");
  EXPECT_EQ(Assemble("\xf0\x9f\x98"), "\uFFFD");                        // cut
  EXPECT_EQ(Assemble("\xc0\xaf"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(Assemble("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");            // surrogate
  EXPECT_EQ(Assemble("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  EXPECT_EQ(Assemble("\xe4\xbd"
                     "A"),
            "\uFFFDA");
}

RC_GTEST_PROP(Utf8Assembler, AnyBytesInAnyPiecesBecomeTheSameValidText, ()) {
  const auto bytes = *rc::gen::container<std::string>(
      rc::gen::oneOf(rc::gen::arbitrary<char>(),
                     rc::gen::element('\xe4', '\xbd', '\xa0', '\xf0', '\x9f', '\x98', 'a')));
  Utf8Assembler utf8;
  const std::string text = FeedInPieces(bytes, utf8);
  RC_ASSERT(text == Assemble(bytes));
  RC_ASSERT(wire::IsUtf8(text));
}

TEST(StopMatcher, CutsBeforeTheFirstStopStringAlsoAcrossPieces) {
  StopMatcher stop({"###", "END"});
  EXPECT_EQ(stop.Feed("one #"), "one ");
  EXPECT_EQ(stop.Feed("# E"), "## ");
  EXPECT_EQ(stop.Feed("N"), "");
  EXPECT_FALSE(stop.stopped());
  EXPECT_EQ(stop.Feed("D more ###"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.Feed("anything"), "");
  EXPECT_EQ(stop.Finish(), "");
}

TEST(StopMatcher, GivesHeldTextBackWhenItWasNoStopString) {
  StopMatcher stop({"STOP"});
  EXPECT_EQ(stop.Feed("a STO"), "a ");
  EXPECT_EQ(stop.Finish(), "STO");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopMatcher, TheOneThatIsCompleteFirstCounts) {
  StopMatcher stop({"bc", "abcd"});
  EXPECT_EQ(stop.Feed("xabcd"), "xa");
  EXPECT_TRUE(stop.stopped());
  StopMatcher same_end({"bc", "abc"});
  EXPECT_EQ(same_end.Feed("xabcd"), "x");
}

RC_GTEST_PROP(StopMatcher, PiecesDoNotMatter, ()) {
  const auto letters = rc::gen::element('a', 'b', 'c');
  const auto text = *rc::gen::container<std::string>(letters);
  const auto stops = *rc::gen::container<std::vector<std::string>>(
      rc::gen::resize(4, rc::gen::container<std::string>(letters)));
  // A stop string is found as soon as its last letter is there: the one that ends first cuts.
  size_t cut = text.size();
  for (size_t end = 1; end <= text.size() && cut == text.size(); ++end) {
    for (const std::string& stop : stops) {
      if (!stop.empty() && std::string_view(text).substr(0, end).ends_with(stop)) {
        cut = std::min(cut, end - stop.size());
      }
    }
  }
  StopMatcher one_by_one(stops);
  std::string out;
  for (char c : text) out += one_by_one.Feed(std::string(1, c));
  if (!one_by_one.stopped()) out += one_by_one.Finish();
  RC_ASSERT(out == text.substr(0, cut));

  StopMatcher in_pieces(stops);
  const std::string other = FeedInPieces(text, in_pieces);
  RC_ASSERT(in_pieces.stopped() == one_by_one.stopped());
  RC_ASSERT(other == out);
}

}  // namespace
}  // namespace inferq::engine::llama
