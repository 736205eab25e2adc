#include "sched/treap.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"
#include "sched/id_table.h"

namespace inferq::sched {
namespace {

struct Number {
  model::TaskId id;
  int value = 0;
  Links links;
  size_t size = 1;
};

/// By value, counting.
struct NumberOrder {
  Pool<Number>* pool;
  Links& At(Handle h) const { return (*pool)[h].links; }
  bool Less(Handle a, Handle b) const { return (*pool)[a].value < (*pool)[b].value; }
  uint64_t Priority(Handle h) const { return Scatter(static_cast<uint64_t>((*pool)[h].value)); }
  size_t Size(Handle h) const { return h == kNone ? 0 : (*pool)[h].size; }
  void Update(Handle h) const { (*pool)[h].size = 1 + Size(At(h).left) + Size(At(h).right); }
  void Gained(Handle h, Handle) const { ++(*pool)[h].size; }
  void Lost(Handle h, Handle) const { --(*pool)[h].size; }
};

class TreapTest : public testing::Test {
 protected:
  Handle New(int value) {
    Handle handle = pool_.Allocate();
    pool_[handle].value = value;
    return handle;
  }
  Pool<Number> pool_;
  Treap<NumberOrder> treap_{{&pool_}};
};

TEST_F(TreapTest, AgreesWithAPlainSet) {
  base::Rng rng(1);
  std::map<int, Handle> plain;
  for (int i = 0; i < 20'000; ++i) {
    int value = static_cast<int>(rng.Below(500));
    if (auto found = plain.find(value); found != plain.end()) {
      treap_.Erase(found->second);
      pool_.Free(found->second);
      plain.erase(found);
    } else {
      treap_.Insert(plain[value] = New(value));
    }
    ASSERT_EQ(treap_.empty(), plain.empty());
    ASSERT_EQ(treap_.order().Size(treap_.root()), plain.size());
    ASSERT_EQ(treap_.First(), plain.empty() ? kNone : plain.begin()->second);
    ASSERT_EQ(treap_.Last(), plain.empty() ? kNone : plain.rbegin()->second);
    Handle probe = New(static_cast<int>(rng.Below(500)));
    auto less = std::distance(plain.begin(), plain.lower_bound(pool_[probe].value));
    ASSERT_EQ(treap_.CountLess(probe), static_cast<size_t>(less));
    pool_.Free(probe);
  }
}

TEST_F(TreapTest, StaysShallowWhenFilledInOrder) {
  std::vector<Handle> handles;  // a list would overflow the stack here
  for (int i = 0; i < 300'000; ++i) treap_.Insert(handles.emplace_back(New(i)));
  EXPECT_EQ(treap_.CountLess(handles[150'000]), 150'000u);
  for (Handle handle : handles) treap_.Erase(handle);
  EXPECT_TRUE(treap_.empty());
}

TEST(Pool, UsesFreedPlacesAgainAndClean) {
  Pool<Number> pool;
  Handle first = pool.Allocate();
  pool[first].value = 7;
  pool.Free(first);
  EXPECT_EQ(pool.Allocate(), first);
  EXPECT_EQ(pool[first].value, 0);
}

TEST(IdTable, AgreesWithAPlainMap) {
  base::Rng rng(2);
  Pool<Number> pool;
  IdTable<Number> table(pool);
  std::map<uint64_t, Handle> plain;
  for (int i = 0; i < 20'000; ++i) {
    uint64_t id = 1 + rng.Below(600);
    if (auto found = plain.find(id); found != plain.end()) {
      table.Erase({id});
      pool.Free(found->second);
      plain.erase(found);
    } else {
      Handle handle = plain[id] = pool.Allocate();
      pool[handle].id = {id};
      table.Insert(handle);
    }
    ASSERT_EQ(table.size(), plain.size());
    uint64_t probe = 1 + rng.Below(600);
    auto found = plain.find(probe);
    ASSERT_EQ(table.Find({probe}), found == plain.end() ? kNone : found->second);
  }
}

}  // namespace
}  // namespace inferq::sched
