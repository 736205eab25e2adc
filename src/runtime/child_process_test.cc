#include "runtime/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>

#include "runtime/asio_runtime.h"
#include "runtime/event.h"
#include "runtime/local_socket.h"

namespace inferq::runtime {
namespace {

using namespace std::chrono_literals;
using base::Code;
using testing::HasSubstr;

constexpr auto kForever = base::SteadyTime::max();

// Runs the body, a coroutine of the test's, to its end.
class ChildProcessTest : public testing::Test {
 protected:
  void RunToEnd(Awaitable<void> body) {
    auto finish = [](AsioRuntime& runtime, Awaitable<void> inner) -> Awaitable<void> {
      co_await std::move(inner);
      runtime.Stop();
    };
    runtime_.SpawnDetached(finish(runtime_, std::move(body)));
    runtime_.Run();
  }

  // `script` runs with `theirs` as descriptor 3.
  std::unique_ptr<ChildProcess> Shell(std::string script, Fd theirs = {}) {
    Command command{.path = "/bin/sh", .arguments = {"-c", std::move(script)}, .descriptors = {}};
    if (theirs) command.descriptors.emplace_back(std::move(theirs), 3);
    auto child = ChildProcess::Spawn(runtime_, std::move(command));
    EXPECT_TRUE(child.has_value()) << child.error().message();
    return *std::move(child);
  }

  AsioRuntime runtime_;
};

Awaitable<void> WaitFor(ChildProcess& child, base::SteadyTime deadline,
                        std::optional<ExitStatus>& out) {
  out = co_await child.Wait(deadline);
}

Awaitable<void> ReadAll(Stream& stream, std::string& out) {
  std::string buffer(100, '\0');
  for (;;) {
    auto size = co_await stream.Read(buffer);
    if (!size || *size == 0) co_return;
    out.append(buffer, 0, *size);
  }
}

TEST_F(ChildProcessTest, StandardOutputMayBeNamed) {
  auto pair = *MakeLocalSocketPair(runtime_);
  Command command{.path = "/bin/sh", .arguments = {"-c", "echo said"}, .descriptors = {}};
  command.descriptors.emplace_back(std::move(pair.theirs), 1);
  auto child = *ChildProcess::Spawn(runtime_, std::move(command));
  std::string said;
  RunToEnd(ReadAll(*pair.ours, said));
  EXPECT_EQ(said, "said\n");
}

TEST_F(ChildProcessTest, TellsHowAProcessEnded) {
  std::optional<ExitStatus> exited;
  auto child = Shell("exit 7");
  RunToEnd(WaitFor(*child, kForever, exited));
  ASSERT_TRUE(exited.has_value());
  EXPECT_EQ(exited->ToString(), "exited with code 7");
  RunToEnd(WaitFor(*child, kForever, exited));
  EXPECT_EQ(exited->code, 7) << "and says so again";

  std::optional<ExitStatus> killed;
  child = Shell("kill -ABRT $$");
  RunToEnd(WaitFor(*child, kForever, killed));
  ASSERT_TRUE(killed.has_value());
  EXPECT_EQ(killed->ToString(), "was killed by signal 6 (Aborted)");
}

TEST_F(ChildProcessTest, WaitGivesUpAtItsDeadlineAndKillEndsTheProcess) {
  auto socket = MakeLocalSocketPair(runtime_);
  auto child = Shell("read forever <&3", std::move(socket->theirs));
  std::optional<ExitStatus> status;
  RunToEnd(WaitFor(*child, runtime_.clock().Steady() + 1ms, status));
  EXPECT_FALSE(status.has_value());
  child->Kill();
  RunToEnd(WaitFor(*child, kForever, status));
  EXPECT_EQ(status->signal, SIGKILL);
}

TEST_F(ChildProcessTest, TheDestructorLeavesNothingBehind) {
  auto socket = MakeLocalSocketPair(runtime_);
  auto child = Shell("read forever <&3", std::move(socket->theirs));
  const pid_t pid = child->pid();
  child.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ChildProcessTest, AMissingProgramIsAnError) {
  auto child = ChildProcess::Spawn(
      runtime_, {.path = "/nowhere/program", .arguments = {}, .descriptors = {}});
  ASSERT_FALSE(child.has_value());
  EXPECT_EQ(child.error().code(), Code::kNotFound);
  EXPECT_THAT(child.error().message(), HasSubstr("/nowhere/program"));
}

TEST_F(ChildProcessTest, TheChildGetsTheNamedDescriptorsAndNoOthers) {
  const Fd inheritable(::dup(1));  // no close-on-exec
  auto socket = MakeLocalSocketPair(runtime_);
  auto child =
      Shell("i=0; while [ $i -lt 200 ]; do [ -e /proc/$$/fd/$i ] && echo $i >&3; i=$((i+1)); done",
            std::move(socket->theirs));
  std::string listed;
  RunToEnd(ReadAll(*socket->ours, listed));
  EXPECT_EQ(listed, "0\n1\n2\n3\n");
}

Awaitable<void> WriteThenRead(Stream& stream, std::string text, std::string& out) {
  (void)co_await stream.Write(text, "\n");
  co_await ReadAll(stream, out);
}

TEST_F(ChildProcessTest, ALocalSocketCarriesBytesBothWaysAndEndsWithTheChild) {
  auto socket = MakeLocalSocketPair(runtime_);
  auto child = Shell("read line <&3; echo \"got $line\" >&3", std::move(socket->theirs));
  std::string answer;
  RunToEnd(WriteThenRead(*socket->ours, "hello", answer));
  EXPECT_EQ(answer, "got hello\n");
}

Awaitable<void> WriteOnly(Stream& stream, std::string text, base::Result<>& out) {
  out = co_await stream.Write(text, {});
}

TEST_F(ChildProcessTest, WritingToNobodyIsAnErrorNotASignal) {
  auto socket = MakeLocalSocketPair(runtime_);
  socket->theirs = Fd();
  base::Result<> result;
  RunToEnd(WriteOnly(*socket->ours, "hello", result));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
}

Awaitable<void> ReadOnce(Stream& stream, base::Result<size_t>& out) {
  std::string buffer(10, '\0');
  out = co_await stream.Read(buffer);
}

Awaitable<void> CloseWhileReading(Runtime& runtime, Stream& stream, base::Result<size_t>& out) {
  Scope scope(runtime);
  scope.Spawn(ReadOnce(stream, out));
  co_await runtime.Yield();
  stream.Close();
  co_await scope.Join();
}

TEST_F(ChildProcessTest, CloseEndsAReadUnderWay) {
  auto socket = MakeLocalSocketPair(runtime_);
  base::Result<size_t> result;
  RunToEnd(CloseWhileReading(runtime_, *socket->ours, result));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::kCancelled);
}

Awaitable<void> CancelAReadThenEcho(Runtime& runtime, Stream& stream, base::Result<size_t>& first,
                                    std::string& answer) {
  Scope scope(runtime);
  scope.Spawn(ReadOnce(stream, first));
  co_await runtime.Yield();
  stream.CancelRead();
  co_await scope.Join();
  (void)co_await stream.Write("hello", {});
  stream.ShutdownSend();
  co_await ReadAll(stream, answer);
}

TEST_F(ChildProcessTest, ALocalSocketOutlivesACancelledReadAndClosesByHalves) {
  auto socket = MakeLocalSocketPair(runtime_);
  auto child = Shell("cat <&3 >&3", std::move(socket->theirs));
  base::Result<size_t> first;
  std::string answer;
  RunToEnd(CancelAReadThenEcho(runtime_, *socket->ours, first, answer));
  ASSERT_FALSE(first.has_value());
  EXPECT_EQ(first.error().code(), Code::kCancelled);
  EXPECT_EQ(answer, "hello");
}

}  // namespace
}  // namespace inferq::runtime
