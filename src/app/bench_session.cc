#include "app/bench_session.h"

#include <signal.h>
#include <stdlib.h>

#include <filesystem>

#include "app/client_session.h"
#include "app/exit_code.h"
#include "app/progress.h"
#include "app/version.h"
#include "base/rng.h"
#include "http/asio_dialer.h"
#include "http/url.h"
#include "runtime/signals.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr base::Micros kLookEvery = 20ms;
constexpr base::Micros kPauseAfterRefusal = 10ms;
constexpr base::Micros kLastAnswers = 5s;  // for calls under way after Ctrl-C

class BenchView final : public ProgressView {
 public:
  BenchView(std::string what, uint64_t done, double seconds)
      : what_(std::move(what)), done_(done), seconds_(seconds) {}
  std::string Bar(int) const override { return Line(); }
  std::string Line() const override {
    return fmt::format("{}: {:.1f} s, {} done", what_, seconds_, WithCommas(done_));
  }
  std::string Json() const override {
    return fmt::format(R"({{"event":"progress","done":{},"seconds":{:.1f}}})", done_, seconds_);
  }

 private:
  std::string what_;
  uint64_t done_;
  double seconds_;
};

// Not /tmp, which is no disk on some machines.
std::string ParentDirectory(const BenchFlags& flags) {
  if (!flags.data.empty()) return flags.data;
  const char* named = std::getenv("TMPDIR");
  return named && *named ? named : "/var/tmp";
}

Result<std::string> MakeDirectory(const BenchFlags& flags) {
  std::string path = ParentDirectory(flags) + "/inferq-bench-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return std::unexpected(base::ErrnoError(errno, path));
  return path;
}

double Seconds(base::Micros duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

int BenchSession::Run(const std::string& name, const BenchFlags& flags, Body body) {
  BenchSession session(name, flags);
  return session.Execute(body);
}

BenchSession::BenchSession(const std::string& name, const BenchFlags& flags)
    : name_(name), flags_(flags), display_(ProgressStyle::kAuto) {
  base::Rng rng(base::RandomSeed());
  kind_ = fmt::format("bench-{:08x}", static_cast<uint32_t>(rng.Next()));
}

int BenchSession::Execute(const Body& body) {
  load_before_ = LoadAverage();
  if (auto prepared = Prepare(); !prepared) {
    display_.Say(fmt::format("inferq bench {}: {}", name_, prepared.error().message()));
    return kUsage;
  }
  report_.Text("bench", name_);
  runtime::SignalWatcher signals(runtime_, {SIGINT, SIGTERM}, [this](int) { OnSignal(); });
  runtime_.SpawnDetached(ToEnd(body));
  runtime_.Run();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  return Finish();
}

Result<> BenchSession::Prepare() {
  INFERQ_ASSIGN(options_, MakeClientOptions(flags_.client));
  options_.cancel = cancel_;
  INFERQ_ASSIGN(dialer_, http::MakeAsioDialer(runtime_, {}));
  INFERQ_ASSIGN(directory_, MakeDirectory(flags_));
  if (!flags_.client.server.empty()) return {};
  options_.api_key.clear();
  if (flags_.starts_late) return {};
  INFERQ_ASSIGN(server_, BenchServer::Make(runtime_, directory_, kIdleModel));
  return {};
}

Awaitable<Result<>> BenchSession::Serve(std::string models) {
  INFERQ_CO_ASSIGN(server_, BenchServer::Make(runtime_, directory_, models));
  co_return co_await StartServer();
}

Result<> BenchSession::Retarget() {
  if (server_) options_.base_url = server_->url();
  INFERQ_ASSIGN(http::Url url, http::ParseUrl(options_.base_url));
  target_ = {.address = url.address,
             .authority = url.Authority(),
             .base = url.target,
             .api_key = options_.api_key};
  client_ = std::make_unique<client::Client>(runtime_, *dialer_, options_);
  return {};
}

Awaitable<void> BenchSession::ToEnd(const Body& body) {
  auto done = co_await RunAll(body);
  if (!done && !interrupted_) Fail(std::move(done).error());
  co_await Leave();
  runtime_.Stop();
}

Awaitable<Result<>> BenchSession::RunAll(const Body& body) {
  INFERQ_CO_TRY(co_await StartServer());
  co_await MeasureDisk("fdatasync_per_s_before");
  if (!interrupted_) INFERQ_CO_TRY(co_await body(*this));
  co_await MeasureDisk("fdatasync_per_s_after");
  co_return Result<>{};
}

Awaitable<Result<>> BenchSession::StartServer() {
  if (server_) INFERQ_CO_TRY(co_await server_->Start());
  co_return Retarget();
}

// Nothing of ours stays behind on a server that goes on.
Awaitable<void> BenchSession::Leave() {
  ReportMachine();
  if (client_) client_->CloseIdle();
  if (server_) co_return co_await server_->Stop();
  if (failure_ || !flags_.queues_tasks) co_return;
  auto connection = Connect();
  co_await connection->Post("/tasks/cancel", fmt::format(R"({{"kind":"{}"}})", kind_));
}

// Of the disk that the store is on; elsewhere it would say nothing.
Awaitable<void> BenchSession::MeasureDisk(std::string key) {
  std::optional<double> rate;
  if ((server_ || !flags_.data.empty()) && !interrupted_) {
    double seconds = std::min(1.0, flags_.seconds);
    auto measure = [directory = directory_, seconds] { return MeasureSyncs(directory, seconds); };
    auto measured = co_await runtime_.RunBlocking(runtime::kAnyLane, measure);
    if (measured) rate = *measured;
  }
  report_.Maybe(std::move(key), rate, 0);
}

void BenchSession::ReportMachine() {
  if (server_ && server_->pid() != 0) {
    ProcessUsage usage = UsageOf(server_->pid());
    report_.Count("server_resident_bytes", usage.resident_bytes);
    report_.Count("server_peak_bytes", usage.peak_bytes);
  }
  report_.Count("errors", refusals_);
  report_.Flag("interrupted", interrupted_);
  report_.Text("command", CommandLine());
  report_.Text("version", kVersion);
  report_.Count("cores", Cores());
  report_.Text("kernel", Kernel());
  report_.Text("file_system", FileSystemOf(directory_));
  report_.Number("load_average_before", load_before_, 2);
  report_.Number("load_average_after", LoadAverage(), 2);
}

std::string BenchSession::CommandLine() const {
  auto file = base::PosixFileSystem().Open("/proc/self/cmdline", base::OpenMode::kRead);
  std::string words(4096, '\0');
  words.resize(file ? (*file)->ReadAt(0, words.data(), words.size()).value_or(0) : 0);
  while (!words.empty() && words.back() == '\0') words.pop_back();
  std::ranges::replace(words, '\0', ' ');
  size_t name = words.substr(0, words.find(' ')).rfind('/');
  return name == words.npos ? words : words.substr(name + 1);
}

std::unique_ptr<BenchConnection> BenchSession::Connect() {
  return std::make_unique<BenchConnection>(runtime_, *dialer_, target_, cancel_);
}

Awaitable<void> BenchSession::Drive(std::string what, uint32_t clients, Client client,
                                    double seconds) {
  pid_t server = server_ ? server_->pid() : 0;
  ProcessUsage own_before = OwnUsage();
  ProcessUsage server_before = UsageOf(server);
  done_ = 0;
  begin_ = Now();
  end_ = begin_ + base::Micros(static_cast<int64_t>(seconds * 1e6));
  runtime::Scope scope(runtime_);
  for (uint32_t i = 0; i < clients; ++i) scope.Spawn(client(i));
  while (!over() && scope.active() > 0) {
    display_.Update(BenchView(name_ + " " + what, done_, Seconds(Now() - begin_)), Now());
    co_await runtime_.SleepFor(kLookEvery);
  }
  end_ = std::min(end_, Now());
  window_seconds_ = Seconds(end_ - begin_);
  ProcessUsage own = OwnUsage();
  ProcessUsage served = UsageOf(server);
  co_await scope.Join();
  report_.Number(what + "_seconds", window_seconds_, 3);
  report_.Number(what + "_generator_user_s", own.user_seconds - own_before.user_seconds, 2);
  report_.Number(what + "_generator_system_s", own.system_seconds - own_before.system_seconds, 2);
  if (server == 0) co_return;
  report_.Number(what + "_server_user_s", served.user_seconds - server_before.user_seconds, 2);
  report_.Number(what + "_server_system_s", served.system_seconds - server_before.system_seconds,
                 2);
}

Awaitable<std::optional<BenchAnswer>> BenchSession::Call(BenchConnection& connection,
                                                         std::string_view path,
                                                         std::string_view body,
                                                         base::SteadyTime meant, Latencies& took) {
  auto answer = co_await connection.Post(path, body);
  if (!answer) {
    Fail(std::move(answer).error().WithContext(path));
    co_return std::nullopt;
  }
  if (answer->status == 200) {
    took.Add(Now() - meant);
    co_return *answer;
  }
  Refused(fmt::format("{}: {} {}", path, answer->status, answer->body));
  co_await runtime_.SleepFor(kPauseAfterRefusal);
  co_return std::nullopt;
}

void BenchSession::Refused(std::string_view why) {
  if (refusals_++ == 0) display_.Say(fmt::format("inferq bench {}: {}", name_, why));
}

void BenchSession::Fail(base::Error error) {
  if (!failure_) failure_ = std::move(error);
}

void BenchSession::OnSignal() {
  if (interrupted_) {
    server_.reset();  // killed: it must not outlive us
    std::filesystem::remove_all(directory_);
    std::_Exit(kInterrupted);
  }
  interrupted_ = true;
  end_ = std::min(end_, Now());
  runtime_.CallAt(Now() + kLastAnswers, [this] { cancel_->Cancel(); });
}

int BenchSession::Finish() {
  if (failure_) {
    display_.Say(fmt::format("inferq bench {}: {}", name_, failure_->message()));
  }
  std::string text = flags_.json       ? report_.Json() + "\n"
                     : flags_.markdown ? report_.Markdown()
                                       : report_.Table();
  bool printed = Print(text).has_value();
  if (interrupted_) return kInterrupted;
  if (failure_) return kServerRefused;
  if (!printed) return kStorageFailed;
  return refusals_ == 0 ? kOk : kSomeFailed;
}

}  // namespace inferq::app
