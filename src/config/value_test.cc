#include "config/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::config {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, ReadsNumberAndUnit) {
  EXPECT_EQ(ParseDuration("300us").value(), 300us);
  EXPECT_EQ(ParseDuration("10ms").value(), 10ms);
  EXPECT_EQ(ParseDuration("1.5s").value(), 1500ms);
  EXPECT_EQ(ParseDuration("5m").value(), 5min);
  EXPECT_EQ(ParseDuration("24h").value(), 24h);
  EXPECT_EQ(ParseDuration("7d").value(), 168h);
  EXPECT_EQ(ParseDuration("3650d").value(), 87600h);
  for (const char* bad : {"", "5", "s", "-1s", "1 s", "1.5.s", "infs", "1e3s", "3651d", "5M"}) {
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  }
}

TEST(ParseSize, KnowsBinaryAndDecimalUnits) {
  EXPECT_EQ(ParseSize("64MiB").value().count, 64u << 20);
  EXPECT_EQ(ParseSize("1GiB").value().count, 1u << 30);
  EXPECT_EQ(ParseSize("500MB").value().count, 500'000'000u);
  EXPECT_EQ(ParseSize("0B").value().count, 0u);
  EXPECT_EQ(ParseSize("1.5KiB").value().count, 1536u);
  for (const char* bad : {"", "64", "64M", "-1B", "64 MiB", "9999999TiB"}) {
    EXPECT_FALSE(ParseSize(bad)) << bad;
  }
}

TEST(ParseValue, FollowsTheType) {
  EXPECT_EQ(ParseValue(false, "true").value(), Value(true));
  EXPECT_EQ(ParseValue(int64_t{0}, "-3").value(), Value(int64_t{-3}));
  EXPECT_EQ(ParseValue(0.0, "0.25").value(), Value(0.25));
  EXPECT_EQ(ParseValue("", "a b").value(), Value("a b"));
  EXPECT_EQ(ParseValue(Texts{}, " a , b,c").value(), Value(Texts{"a", "b", "c"}));
  EXPECT_EQ(ParseValue(Texts{}, "").value(), Value(Texts{}));
  EXPECT_EQ(ParseValue(base::Micros(0), "2s").value(), Value(base::Micros(2s)));
  EXPECT_EQ(ParseValue(Bytes{}, "2KiB").value(), Value(Bytes{2048}));
  EXPECT_FALSE(ParseValue(false, "yes"));
  EXPECT_FALSE(ParseValue(int64_t{0}, "3x"));
  EXPECT_FALSE(ParseValue(int64_t{0}, "9223372036854775808"));
  EXPECT_FALSE(ParseValue(0.0, ""));
}

TEST(FormatValue, IsWhatParseValueReads) {
  for (const char* text : {"24h", "90s", "1500ms", "0s", "10m"}) {
    EXPECT_EQ(FormatValue(ParseDuration(text).value()), text);
  }
  for (const char* text : {"64MiB", "8GiB", "0B", "1000B"}) {
    EXPECT_EQ(FormatValue(ParseSize(text).value()), text);
  }
  EXPECT_EQ(FormatValue(Texts{"a", "b"}), "a, b");
  EXPECT_EQ(FormatValue(1.0), "1");
}

}  // namespace
}  // namespace inferq::config
