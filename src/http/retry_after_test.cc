#include "http/retry_after.h"

#include <gtest/gtest.h>

namespace inferq::http {
namespace {

using namespace std::chrono_literals;

constexpr base::WallTime kNow = std::chrono::sys_days{std::chrono::year{2026} / 10 / 21} + 7h;

TEST(RetryAfter, ReadsAllForms) {
  auto wait = [](Headers headers) { return RetryAfter(headers, kNow); };
  EXPECT_EQ(wait({}), 0ms);
  EXPECT_EQ(wait({{"Retry-After", "7"}}), 7s);
  EXPECT_EQ(wait({{"retry-after", "0.5"}}), 500ms);
  EXPECT_EQ(wait({{"Retry-After", "7"}, {"Retry-After-Ms", "250"}}), 250ms);
  EXPECT_EQ(wait({{"Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"}}), 28min);
  EXPECT_EQ(wait({{"Retry-After", "Wed, 21 Oct 2020 07:28:00 GMT"}}), 0ms);
  EXPECT_EQ(wait({{"Retry-After", "99999999999"}}), 1h);
  for (const char* bad : {"", "-1", "soon", "nan", "1e400", "Wed, 99 Oct", "7 s"}) {
    EXPECT_EQ(wait({{"Retry-After", bad}}), 0ms) << bad;
  }
}

}  // namespace
}  // namespace inferq::http
