#include "engine/shape/suffixes.h"

#include <gtest/gtest.h>

#include <vector>

namespace inferq::engine {
namespace {

const std::vector<std::string> kSuffixes = {"</answer>", "<|end_of_box|>"};

struct CutCase {
  std::string text;
  std::string left;
};
const std::vector<CutCase> kCases = {
    {"", ""},
    {"do(action=\"Home\")", "do(action=\"Home\")"},
    {"do()</answer>", "do()"},
    {"do()</answer>\n", "do()"},
    {"do() \n</answer>", "do() \n"},
    {"do()</answer> <|end_of_box|>\n\n", "do()"},
    {"do()<|end_of_box|></answer></answer>", "do()"},
    {"a</answer>b", "a</answer>b"},
    {"a</answer>b</answer>", "a</answer>b"},
    {"a</answer></ans", "a</answer></ans"},
    {"a</answer", "a</answer"},
    {"a<", "a<"},
    {"</answer>", ""},
    {"你好</answer>", "你好"},
    {"a  \n", "a  \n"},
};

TEST(CutSuffixes, TakesAllEndingsOff) {
  for (const CutCase& c : kCases) EXPECT_EQ(CutSuffixes(c.text, kSuffixes), c.left) << c.text;
}

TEST(SuffixCutter, SaysTheSameForAnySplit) {
  for (const CutCase& c : kCases) {
    for (size_t size = 1; size <= c.text.size(); ++size) {
      SuffixCutter cutter(kSuffixes);
      std::string out;
      for (size_t at = 0; at < c.text.size(); at += size)
        out += cutter.Feed(c.text.substr(at, size));
      out += cutter.End();
      EXPECT_EQ(out, c.left) << c.text << " by " << size;
    }
  }
}

TEST(SuffixCutter, HoldsOnlyWhatMayBeAnEnding) {
  SuffixCutter cutter(kSuffixes);
  EXPECT_EQ(cutter.Feed("text <"), "text ");
  EXPECT_EQ(cutter.Feed("/b>"), "</b>");
  EXPECT_EQ(cutter.Feed("</answer>"), "");
  EXPECT_EQ(cutter.Feed("more"), "</answer>more");
}

TEST(SuffixCutter, HoldsNoMoreThanItsBound) {
  SuffixCutter cutter(kSuffixes);
  size_t out = 0;
  for (int i = 0; i < 1000; ++i) out += cutter.Feed("</answer>").size();
  EXPECT_GT(out, 4000u);
}

TEST(SuffixCutter, EndingsThatBeginAlikeAreAllTried) {
  const std::vector<std::string> alike = {"a", "aa", "ab"};
  EXPECT_EQ(CutSuffixes("xaaab", alike), "x");
  EXPECT_EQ(CutSuffixes("xb" + std::string(4000, 'a'), alike), "xb");
}

}  // namespace
}  // namespace inferq::engine
