#include "app/bench_server.h"

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <filesystem>

#include "base/file_system.h"
#include "runtime/local_socket.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr base::Micros kLastWords = 10s;

constexpr std::string_view kConfig = R"([server]
listen = "127.0.0.1:0"
admin_listen = ""

)";

Result<runtime::Fd> OpenLog(const std::string& path) {
  runtime::Fd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return std::unexpected(base::ErrnoError(errno, "open " + path));
  return log;
}

}  // namespace

const std::string_view kIdleModel = R"([[model]]
name = "bench"
fake = true
ttft = "1h"
concurrency = 1
reserved = 0
)";

std::string UrlIn(std::string_view announcement) {
  size_t begin = announcement.find("http://");
  if (begin == announcement.npos) return "";
  size_t end = announcement.find_first_of(" \r\n", begin);
  return end == announcement.npos ? "" : std::string(announcement.substr(begin, end - begin));
}

Result<std::unique_ptr<BenchServer>> BenchServer::Make(runtime::Runtime& runtime,
                                                       std::string directory,
                                                       std::string_view models) {
  INFERQ_TRY(base::WriteFileAtomically(base::PosixFileSystem(), directory + "/inferq.toml",
                                       std::string(kConfig).append(models)));
  return std::unique_ptr<BenchServer>(new BenchServer(runtime, std::move(directory)));
}

Awaitable<Result<>> BenchServer::Start() {
  started_ = runtime_.clock().Steady();
  INFERQ_CO_TRY(Spawn());
  co_return co_await ReadAnnouncement();
}

Result<> BenchServer::Spawn() {
  INFERQ_ASSIGN(auto pair, runtime::MakeLocalSocketPair(runtime_));
  INFERQ_ASSIGN(auto log, OpenLog(directory_ + "/server.log"));
  // By its name, so that it can be told from this process.
  std::error_code failed;
  std::string self = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return base::Fail(Code::kUnavailable, "/proc/self/exe: {}", failed.message());
  runtime::Command command{.path = std::move(self),
                           .arguments = {"serve", "--config", directory_ + "/inferq.toml", "--data",
                                         directory_ + "/store"},
                           .descriptors = {}};
  command.descriptors.emplace_back(std::move(pair.theirs), 1);
  command.descriptors.emplace_back(std::move(log), 2);
  INFERQ_ASSIGN(process_, runtime::ChildProcess::Spawn(runtime_, std::move(command)));
  output_ = std::move(pair.ours);
  return {};
}

Awaitable<Result<>> BenchServer::ReadAnnouncement() {
  std::string said;
  std::string piece(1000, '\0');
  while ((url_ = UrlIn(said)).empty()) {
    auto size = co_await output_->Read(piece);
    if (!size || *size == 0) {
      co_return base::Fail(Code::kUnavailable, "the server does not start: see {}/server.log",
                           directory_);
    }
    said.append(piece, 0, *size);
  }
  co_return Result<>{};
}

Awaitable<void> BenchServer::Stop() {
  if (!process_) co_return;
  ::kill(process_->pid(), SIGTERM);  // not reaped yet, so the id is still its own
  co_await process_->Wait(runtime_.clock().Steady() + kLastWords);
  co_await Kill();
}

Awaitable<void> BenchServer::Kill() {
  process_->Kill();
  co_await process_->Wait(base::SteadyTime::max());
  process_.reset();
}

}  // namespace inferq::app
