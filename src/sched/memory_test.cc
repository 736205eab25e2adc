// What a waiting task costs: everything that the process allocates is counted.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/rng.h"
#include "sched/scheduler.h"

namespace {

std::atomic<int64_t> allocated{0};  // bytes

// The size is kept in front, so that every way to free finds it.
constexpr size_t kFront = 64;

void* Allocate(size_t size) {
  auto* block =
      static_cast<char*>(std::aligned_alloc(kFront, (size + 2 * kFront - 1) / kFront * kFront));
  if (!block) std::abort();
  *reinterpret_cast<size_t*>(block) = size;
  allocated += static_cast<int64_t>(size);
  return block + kFront;
}

void Free(void* memory) {
  if (!memory) return;
  char* block = static_cast<char*>(memory) - kFront;
  allocated -= static_cast<int64_t>(*reinterpret_cast<size_t*>(block));
  std::free(block);
}

}  // namespace

// Each form by itself: under a sanitizer one does not call another.
void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void* operator new(size_t size, std::align_val_t) { return Allocate(size); }
void* operator new[](size_t size, std::align_val_t) { return Allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { Free(memory); }

namespace inferq::sched {
namespace {

constexpr uint64_t kTasks = 100'000;

Entry RandomEntry(uint64_t id, base::Rng& rng, bool deadline) {
  Entry entry{.id = {id}, .tenant = fmt::format("tenant-{}", rng.Below(100)), .lane = "m"};
  entry.key = static_cast<Key>(rng.Below(1'000'000'000));
  if (deadline) entry.deadline = base::WallTime(std::chrono::seconds(rng.Below(86'400)));
  entry.locality = {1 + rng.Below(100), rng.Next(), rng.Next(), 0};
  entry.batch = {1 + rng.Below(1'000)};
  return entry;
}

double BytesPerTask(bool deadlines) {
  int64_t before = allocated;
  auto scheduler = MakeScheduler({.prefix_window = std::chrono::seconds(60)});
  base::Rng rng(1);
  for (uint64_t id = 1; id <= kTasks; ++id) scheduler->Add(RandomEntry(id, rng, deadlines));
  return static_cast<double>(allocated - before) / static_cast<double>(kTasks);
}

TEST(Memory, AWaitingTaskTakesLessThanTwoHundredBytesWithAllItsIndices) {
  double plain = BytesPerTask(false);
  double with_deadline = BytesPerTask(true);
  std::cout << fmt::format("{:.1f} bytes, with a deadline {:.1f}\n", plain, with_deadline);
  EXPECT_LT(plain, 165);
  EXPECT_LT(with_deadline, 180);
  EXPECT_GT(plain, 128) << "counts nothing?";
}

TEST(Memory, PlacesOfTasksThatLeftAreUsedAgain) {
  auto scheduler = MakeScheduler({.prefix_window = std::chrono::seconds(60)});
  base::Rng rng(1);
  for (uint64_t id = 1; id <= 10'000; ++id) scheduler->Add(RandomEntry(id, rng, id % 2));
  int64_t before = allocated;
  for (uint64_t id = 1; id <= 50'000; ++id) {
    ASSERT_TRUE(scheduler->Remove({id}));
    scheduler->Add(RandomEntry(10'000 + id, rng, id % 2));
  }
  EXPECT_LT(allocated - before, 100'000) << "50,000 tasks came and went";
}

}  // namespace
}  // namespace inferq::sched
