#include "base/file_lock.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file_system.h"

namespace inferq::base {
namespace {

TEST(FileLock, KeepsASecondHolderOutUntilTheFirstIsGone) {
  char pattern[] = "/tmp/inferq_lock_XXXXXX";
  std::string root = mkdtemp(pattern);
  {
    auto first = FileLock::Acquire(root + "/lock");
    ASSERT_TRUE(first);
    EXPECT_EQ(FileLock::Acquire(root + "/lock").error().code(), Code::kFailedPrecondition);
  }
  EXPECT_TRUE(FileLock::Acquire(root + "/lock"));
  EXPECT_TRUE(RemoveTree(PosixFileSystem(), root));
}

}  // namespace
}  // namespace inferq::base
