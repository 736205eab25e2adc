// Shared prefixes stay together: a batch in groups, shuffled, is claimed in nearly the best order.

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "sched/scheduler.h"

namespace inferq::sched {
namespace {

using std::chrono::seconds;

constexpr uint64_t kGroups = 64;
constexpr uint64_t kLines = 64;  // of each group
constexpr base::Micros kPace = std::chrono::milliseconds(10);
constexpr base::Micros kWindow = seconds(60);
constexpr base::WallTime kCreated{seconds(1'800'000'000)};

/// Flat: each group has a prefix of its own. Two levels: 4 groups of 16, which share a prefix.
model::LocalityKey LocalityOf(uint64_t group, bool two_levels) {
  return two_levels ? model::LocalityKey{1 + group / 16, 100 + group}
                    : model::LocalityKey{100 + group};
}

int Shared(const model::LocalityKey& a, const model::LocalityKey& b) {
  int shared = 0;
  for (size_t i = 0; i < a.size() && a[i] != 0 && a[i] == b[i]; ++i) ++shared;
  return shared;
}

/// Parts shared with the one before, over all.
int Reuse(const std::vector<model::LocalityKey>& order) {
  int reuse = 0;
  for (size_t i = 1; i < order.size(); ++i) reuse += Shared(order[i - 1], order[i]);
  return reuse;
}

/// A shuffled batch of all groups; by id - 1, which is the line.
std::vector<Entry> Batch(bool two_levels) {
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < kGroups * kLines; ++i) {
    entries.push_back({.id = {}, .tenant = "t", .lane = "m"});
    entries.back().locality = LocalityOf(i % kGroups, two_levels);
  }
  std::ranges::shuffle(entries, base::Rng(3));
  for (uint64_t line = 0; line < entries.size(); ++line) {
    entries[line].id = {line + 1};
    entries[line].key = MakeKey(kCreated + static_cast<int64_t>(line) * kPace, 0, 0, {});
  }
  return entries;
}

/// Claims all of them, so many at a time, and checks that none runs ahead of its window.
std::vector<model::LocalityKey> ClaimAll(const std::vector<Entry>& entries, uint32_t at_once,
                                         base::Micros window) {
  auto scheduler = MakeScheduler({.prefix_window = window});
  std::set<Key> keys;  // of those that wait; all differ
  for (const Entry& entry : entries) {
    scheduler->Add(entry);
    keys.insert(entry.key);
  }
  std::vector<std::string> lanes{"m"};
  std::vector<model::LocalityKey> order;
  while (!keys.empty()) {
    for (model::TaskId id :
         scheduler->Pick({.lanes = lanes, .max_tasks = at_once, .now = kCreated})) {
      const Entry& entry = entries[id.value - 1];
      EXPECT_LE(entry.key, *keys.begin() + window.count());
      keys.erase(entry.key);
      order.push_back(entry.locality);
    }
  }
  return order;
}

class PrefixTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(OneAndTwoLevels, PrefixTest, testing::Bool());

TEST_P(PrefixTest, AShuffledBatchIsClaimedDepthFirstWhateverTheSizeOfTheClaims) {
  std::vector<Entry> entries = Batch(GetParam());
  std::vector<model::LocalityKey> best;
  for (const Entry& entry : entries) best.push_back(entry.locality);
  int shuffled = Reuse(best);
  std::ranges::sort(best);
  ASSERT_LT(shuffled * 2, Reuse(best)) << "it was shuffled";
  for (uint32_t at_once : {1u, 8u, 64u}) {
    int reuse = Reuse(ClaimAll(entries, at_once, kWindow));
    EXPECT_GE(reuse, Reuse(best) * 95 / 100) << "claims of " << at_once;
    EXPECT_LE(reuse, Reuse(best));
  }
}

TEST_P(PrefixTest, ANarrowWindowIsKept) {
  std::vector<Entry> entries = Batch(GetParam());
  int without = Reuse(ClaimAll(entries, 1, base::Micros(0)));
  int narrow = Reuse(ClaimAll(entries, 1, seconds(5)));
  int wide = Reuse(ClaimAll(entries, 1, kWindow));
  EXPECT_LT(without, narrow);
  EXPECT_LT(narrow, wide);
}

TEST(Prefix, NewcomersOfTheSameGroupDoNotStarveTheHead) {
  auto scheduler = MakeScheduler({.prefix_window = kWindow});
  std::vector<std::string> lanes{"m"};
  base::WallTime now = kCreated;
  uint64_t last_id = 0;
  auto add = [&](uint64_t group) {
    scheduler->Add({.id = {++last_id},
                    .tenant = "t",
                    .lane = "m",
                    .key = MakeKey(now, 0, 0, {}),
                    .locality = LocalityOf(group, false)});
    return last_id;
  };
  add(1);
  uint64_t head = add(2);
  for (int second = 0; second < 300; ++second) {
    add(1);
    if (scheduler->Pick({.lanes = lanes, .now = now}).at(0).value == head) break;
    now += seconds(1);
  }
  EXPECT_GE(now - kCreated, seconds(55)) << "those that share went first, in the window";
  EXPECT_LE(now - kCreated, kWindow + seconds(2)) << "one of them waited when the window ended";
}

}  // namespace
}  // namespace inferq::sched
