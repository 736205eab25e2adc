#include "blob/md5.h"

#include <gtest/gtest.h>

namespace inferq::blob {
namespace {

TEST(Md5, HasTheSumsOfTheStandard) {
  EXPECT_EQ(Md5().Finish(), "d41d8cd98f00b204e9800998ecf8427e");
  Md5 sum;
  sum.Add("message");
  sum.Add("");
  sum.Add(" digest");
  EXPECT_EQ(sum.Finish(), "f96b697d7cb7938d525a2f31aaf161d0");
}

}  // namespace
}  // namespace inferq::blob
