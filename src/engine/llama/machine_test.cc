#include "engine/llama/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace inferq::engine::llama {
namespace {

class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    std::string pattern = testing::TempDir() + "inferq_machine_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    Write("meminfo", "MemTotal: 4000 kB\nMemAvailable:   3000 kB\nBuffers: 1 kB\n");
  }
  ~MachineTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
  }
  uint64_t Available() const { return AvailableMemoryOf(directory_ + "/meminfo", directory_); }
  std::string directory_;
};

TEST_F(MachineTest, MemoryIsWhatTheMachineHas) {
  EXPECT_EQ(Available(), 3000u * 1024);
  Write("memory.max", "max\n");
  EXPECT_EQ(Available(), 3000u * 1024);
  EXPECT_GT(AvailableMemory(), 0u);
  EXPECT_GE(UsableCores(), 1u);
}

TEST_F(MachineTest, MemoryIsBoundedByTheControlGroup) {
  Write("memory.max", "1000000\n");
  Write("memory.current", "600000\n");
  Write("memory.stat", "anon 1\nfile 400000\ninactive_file 100000\n");
  EXPECT_EQ(Available(), 500'000u);
  Write("memory.current", "2000000\n");
  EXPECT_EQ(Available(), 0u);
}

TEST(UsualSlots, TakeAThirdOfTheMemory) {
  EXPECT_EQ(UsualSlots(3000, 10, 10), 10u);
  EXPECT_EQ(UsualSlots(0, 10, 10), 1u);
  EXPECT_EQ(UsualSlots(1u << 30, 1, 1), 64u);
  EXPECT_EQ(UsualSlots(3000, 0, 10), 64u);
}

TEST(SequencesThatFit, LieBesideTheWeights) {
  EXPECT_EQ(SequencesThatFit(3000, 1000, 10, 10), 20u);
  EXPECT_EQ(SequencesThatFit(1000, 3000, 10, 10), 0u);
  EXPECT_EQ(SequencesThatFit(1000, 0, 0, 10), UINT64_MAX);
}

}  // namespace
}  // namespace inferq::engine::llama
