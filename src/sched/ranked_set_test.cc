#include "sched/ranked_set.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace inferq::sched {
namespace {

struct Number {
  int value;
  uint64_t Hash() const { return static_cast<uint64_t>(value) * 0x9e3779b97f4a7c15; }
  friend bool operator<(Number a, Number b) { return a.value < b.value; }
};

TEST(RankedSet, AgreesWithAPlainSet) {
  base::Rng rng(1);
  RankedSet<Number> ranked;
  std::set<int> plain;
  for (int i = 0; i < 20'000; ++i) {
    int value = static_cast<int>(rng.Below(500));
    if (plain.contains(value)) {
      ASSERT_TRUE(ranked.Erase({value}));
      plain.erase(value);
    } else {
      ASSERT_FALSE(ranked.Erase({value}));
      ranked.Insert({value});
      plain.insert(value);
    }
    ASSERT_EQ(ranked.size(), plain.size());
    ASSERT_EQ(ranked.empty(), plain.empty());
    if (!plain.empty()) ASSERT_EQ(ranked.First()->value, *plain.begin());
    int probe = static_cast<int>(rng.Below(500));
    auto less = std::distance(plain.begin(), plain.lower_bound(probe));
    ASSERT_EQ(ranked.CountLess({probe}), static_cast<size_t>(less));
  }
}

TEST(RankedSet, StaysShallowWhenFilledInOrder) {
  RankedSet<Number> ranked;  // a list would overflow the stack here
  for (int i = 0; i < 300'000; ++i) ranked.Insert({i});
  EXPECT_EQ(ranked.CountLess({150'000}), 150'000u);
  for (int i = 0; i < 300'000; ++i) ASSERT_TRUE(ranked.Erase({i}));
  EXPECT_EQ(ranked.First(), nullptr);
}

}  // namespace
}  // namespace inferq::sched
