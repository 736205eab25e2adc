#include "engine/llama/prefix_index.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/llama/seen_prefixes.h"

namespace inferq::engine::llama {
namespace {

using Tokens = std::vector<int32_t>;

// What the index must say, found by looking at everything.
class Naive {
 public:
  std::map<uint32_t, Tokens> held;

  size_t Longest(const Tokens& tokens, std::optional<uint32_t> except) const {
    size_t longest = 0;
    for (const auto& [holder, mine] : held) {
      if (holder == except) continue;
      const auto end = std::ranges::mismatch(mine, tokens).in1;
      longest = std::max(longest, static_cast<size_t>(end - mine.begin()));
    }
    return longest;
  }
  size_t Distinct() const {
    std::set<Tokens> beginnings;
    for (const auto& [holder, mine] : held) {
      for (auto end = mine.begin(); end != mine.end(); ++end) {
        beginnings.emplace(mine.begin(), end + 1);
      }
    }
    return beginnings.size();
  }
};

Tokens Random() {
  const size_t size = *rc::gen::inRange<size_t>(0, 12);
  return *rc::gen::container<Tokens>(size, rc::gen::inRange(0, 3));  // few: they often agree
}

RC_GTEST_PROP(PrefixIndex, AgreesWithLookingAtEverything, ()) {
  PrefixIndex index;
  Naive naive;
  for (int step = *rc::gen::inRange(1, 40); step > 0; --step) {
    const uint32_t holder = *rc::gen::inRange(0u, 6u);
    Tokens& mine = naive.held[holder];
    if (*rc::gen::arbitrary<bool>()) {
      for (int32_t token : Random()) mine.push_back(token);
      index.Extend(holder, mine);
    } else {
      mine.resize(std::min(mine.size(), *rc::gen::inRange<size_t>(0, 12)));
      index.Truncate(holder, mine.size());
    }
    const Tokens asked = Random();
    const auto match = index.Longest(asked);
    RC_ASSERT(match.length == naive.Longest(asked, std::nullopt));
    if (match.length > 0) {
      const Tokens& theirs = naive.held.at(match.holder);
      const auto agree = std::ranges::mismatch(asked, theirs).in1 - asked.begin();
      RC_ASSERT(static_cast<size_t>(agree) >= match.length);
    }
    const auto others = index.LongestOfOthers(asked, holder);
    RC_ASSERT(others.length == naive.Longest(asked, holder));
    RC_ASSERT(others.length == 0 || others.holder != holder);
    RC_ASSERT(index.distinct_tokens() == naive.Distinct());
    RC_ASSERT(index.length(holder) == mine.size());
  }
  for (uint32_t holder = 0; holder < 6; ++holder) index.Erase(holder);
  RC_ASSERT(index.empty());
  RC_ASSERT(index.distinct_tokens() == 0u);
}

RC_GTEST_PROP(SeenPrefixes, CountsEachBeginningAtLeastOnce, ()) {
  SeenPrefixes seen(16);  // now and then one displaces another
  std::set<Tokens> beginnings;
  size_t distinct = 0;
  for (int n = *rc::gen::inRange(1, 20); n > 0; --n) {
    const Tokens prompt = Random();
    distinct += prompt.size() - seen.Add(prompt);
    for (size_t i = 1; i <= prompt.size(); ++i) {
      beginnings.emplace(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  RC_ASSERT(distinct >= beginnings.size());
  RC_ASSERT(distinct <= beginnings.size() + 12);
}

TEST(SeenPrefixes, IsExactWhileThereIsRoom) {
  SeenPrefixes seen;
  const Tokens stem{1, 2, 3, 4};
  EXPECT_EQ(seen.Add(stem), 0u);
  EXPECT_EQ(seen.Add(Tokens{1, 2, 3, 9}), 3u);
  EXPECT_EQ(seen.Add(Tokens{1, 2, 3, 9, 8}), 4u);
  EXPECT_EQ(seen.Add(Tokens{2, 3, 4}), 0u);
  EXPECT_EQ(seen.Add(stem), 4u);
  EXPECT_EQ(seen.Add(Tokens{}), 0u);
}

TEST(SeenPrefixes, AFullTableForgetsButNeverInvents) {
  SeenPrefixes seen(4);  // 16 positions
  Tokens prompt(1000);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i);
  EXPECT_EQ(seen.Add(prompt), 0u);
  EXPECT_LT(seen.Add(prompt), prompt.size());
  prompt[0] = -1;
  EXPECT_EQ(seen.Add(prompt), 0u);
}

}  // namespace
}  // namespace inferq::engine::llama
