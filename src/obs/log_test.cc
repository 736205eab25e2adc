#include "obs/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "obs/log_line.h"

namespace inferq::obs {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct FixedClock final : base::Clock {
  base::WallTime Wall() const override {
    return base::WallTime(std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)) + 12h + 1250us;
  }
  base::SteadyTime Steady() const override { return {}; }
};

// A pipe that a logger writes to.
class LogTest : public testing::Test {
 protected:
  LogTest() { EXPECT_EQ(::pipe2(fds_, O_CLOEXEC), 0); }
  ~LogTest() override {
    for (int fd : fds_) ::close(fd);
  }

  LogOptions Options(Level min = Level::kInfo) { return {min, &clock_, fds_[1]}; }

  // What is in the pipe now.
  std::string Read() {
    ::fcntl(fds_[0], F_SETFL, O_NONBLOCK);
    std::string text, piece(4096, '\0');
    for (ssize_t n; (n = ::read(fds_[0], piece.data(), piece.size())) > 0;) {
      text.append(piece, 0, static_cast<size_t>(n));
    }
    return text;
  }

  FixedClock clock_;
  int fds_[2];
};

TEST_F(LogTest, JsonIsOneObjectForEachLine) {
  auto logger = MakeJsonLogger(Options());
  logger->Write(Level::kInfo, "task.completed",
                {{"task", "t1"},
                 {"tokens", 17},
                 {"bytes", uint64_t{18446744073709551615u}},
                 {"seconds", 0.25},
                 {"streamed", true}});
  logger->Write(Level::kError, "disk.full", {{"free", -1}});
  EXPECT_EQ(Read(),
            R"({"ts":"2026-03-01T12:00:00.001250Z","level":"info","event":"task.completed",)"
            R"("task":"t1","tokens":17,"bytes":18446744073709551615,"seconds":0.25,)"
            R"("streamed":true})"
            "\n"
            R"({"ts":"2026-03-01T12:00:00.001250Z","level":"error","event":"disk.full","free":-1})"
            "\n");
}

TEST_F(LogTest, TextIsForPeople) {
  auto logger = MakeTextLogger(Options());
  logger->Write(Level::kWarning, "backend.slow",
                {{"model", "glm-4"}, {"why", "no answer"}, {"seconds", 1.5}, {"note", ""}});
  EXPECT_EQ(Read(),
            "12:00:00.001 warning backend.slow model=glm-4 why=\"no answer\" seconds=1.5 "
            "note=\"\"\n");
}

TEST_F(LogTest, LesserEventsAreDropped) {
  auto logger = MakeJsonLogger(Options(Level::kWarning));
  logger->Write(Level::kInfo, "a", {});
  logger->Write(Level::kDebug, "b", {});
  EXPECT_EQ(Read(), "");
  logger->Write(Level::kWarning, "c", {});
  EXPECT_THAT(Read(), HasSubstr("\"c\""));
}

TEST_F(LogTest, BracesAndPercentsAreNoFormats) {
  MakeTextLogger(Options())->Write(Level::kInfo, "{} %v {0}", {});
  EXPECT_THAT(Read(), HasSubstr("{} %v {0}"));
}

TEST_F(LogTest, AReaderThatDoesNotReadIsNotWaitedForAndTheLossIsTold) {
  auto logger = MakeJsonLogger(Options());
  // Were each of these waited for, the test would take ten minutes, which is longer than it may.
  const std::string filler(1000, 'x');
  for (int i = 0; i < 6000; ++i) logger->Write(Level::kInfo, "filler", {{"x", filler}});
  EXPECT_LT(Read().size(), 200'000u);
  logger->Write(Level::kInfo, "after", {});
  std::string after = Read();
  EXPECT_THAT(after, HasSubstr("\"event\":\"log.dropped\",\"lines\":"));
  EXPECT_THAT(after, EndsWith("\"event\":\"after\"}\n"));
}

TEST_F(LogTest, ALineThatWasCutIsEndedBeforeTheNextOne) {
  auto logger = MakeJsonLogger(Options());
  logger->Write(Level::kInfo, "long", {{"x", std::string(1 << 20, 'x')}});  // no pipe takes it all
  EXPECT_THAT(Read(), EndsWith("xxx"));
  logger->Write(Level::kInfo, "after", {});
  EXPECT_THAT(Read(), StartsWith("\n{\"ts\""));
}

TEST_F(LogTest, AClosedPipeIsNoError) {
  ::signal(SIGPIPE, SIG_IGN);
  ::close(fds_[0]);
  auto logger = MakeJsonLogger(Options());
  for (int i = 0; i < 3; ++i) logger->Write(Level::kInfo, "x", {});
  fds_[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

TEST_F(LogTest, LinesOfManyThreadsDoNotMix) {
  auto logger = MakeTextLogger(Options());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&logger] {
      for (int i = 0; i < 50; ++i) logger->Write(Level::kInfo, "line", {{"x", 12345678}});
    });
  }
  threads.clear();
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += "12:00:00.001 info    line x=12345678\n";
  EXPECT_EQ(Read(), expected);
}

TEST(JsonString, IsEscapedAndValidUtf8) {
  auto json = [](std::string_view text) {
    std::string out;
    AppendJsonString(text, out);
    return out;
  };
  EXPECT_EQ(json("a\"b\\c\n\r\t\x01\x7f"), R"("a\"b\\c\n\r\t\u0001\u007f")");
  EXPECT_EQ(json(std::string_view("a\0b", 3)), R"("a\u0000b")");
  EXPECT_EQ(json("Grüße 你好 😀"), "\"Grüße 你好 😀\"");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(json("a\xFF"), "\"a" + bad + "\"");
  EXPECT_EQ(json("\xC3"), "\"" + bad + "\"");                                // cut off
  EXPECT_EQ(json("\xC3("), "\"" + bad + "(\"");                              // not continued
  EXPECT_EQ(json("\xC0\xAF"), "\"" + bad + bad + "\"");                      // overlong
  EXPECT_EQ(json("\xE0\x80\xAF"), "\"" + bad + bad + bad + "\"");            // overlong
  EXPECT_EQ(json("\xED\xA0\x80"), "\"" + bad + bad + bad + "\"");            // surrogate
  EXPECT_EQ(json("\xF4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // past U+10FFFF
}

TEST(JsonLine, NumbersThatJsonLacksAreNull) {
  EXPECT_THAT(JsonLine({}, Level::kInfo, "x", {{"a", std::nan("")}, {"b", INFINITY}}),
              HasSubstr(R"("a":null,"b":null})"));
}

TEST(NullLogger, DropsEverything) { NullLogger().Write(Level::kError, "x", {}); }

}  // namespace
}  // namespace inferq::obs
