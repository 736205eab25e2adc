#include "app/bench_machine.h"

#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "base/file_system.h"

namespace inferq::app {
namespace {

constexpr size_t kSyncBytes = 4096;
constexpr uint64_t kSyncBlocks = 1024;  // written in turn, over a file that does not grow

// Such files say that they have no size.
std::string ProcFile(pid_t pid, const char* name) {
  auto file =
      base::PosixFileSystem().Open(fmt::format("/proc/{}/{}", pid, name), base::OpenMode::kRead);
  if (!file) return "";
  std::string text(8192, '\0');
  text.resize((*file)->ReadAt(0, text.data(), text.size()).value_or(0));
  return text;
}

// The numbers behind the process's name, which may hold anything: the state is 0, utime 11.
double TicksAt(const std::string& stat, int index) {
  size_t at = stat.rfind(')');
  for (int i = 0; i <= index && at != stat.npos; ++i) at = stat.find(' ', at + 1);
  return at == stat.npos ? 0 : std::strtod(stat.c_str() + at, nullptr);
}

uint64_t KibibytesOf(const std::string& status, const std::string& name) {
  size_t at = status.find(name + ":");
  if (at == status.npos) return 0;
  return std::strtoull(status.c_str() + at + name.size() + 1, nullptr, 10);
}

}  // namespace

ProcessUsage UsageOf(pid_t pid) {
  std::string stat = ProcFile(pid, "stat");
  std::string status = ProcFile(pid, "status");
  auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return {.user_seconds = TicksAt(stat, 11) / ticks,
          .system_seconds = TicksAt(stat, 12) / ticks,
          .resident_bytes = KibibytesOf(status, "VmRSS") << 10,
          .peak_bytes = KibibytesOf(status, "VmHWM") << 10};
}

ProcessUsage OwnUsage() { return UsageOf(::getpid()); }

double LoadAverage() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

uint32_t Cores() { return std::thread::hardware_concurrency(); }

std::string Kernel() {
  utsname names{};
  return ::uname(&names) == 0 ? fmt::format("{} {}", names.sysname, names.release) : "unknown";
}

std::string FileSystemOf(const std::string& directory) {
  struct statfs about{};
  if (::statfs(directory.c_str(), &about) != 0) return "unknown";
  switch (static_cast<unsigned long>(about.f_type)) {
    case 0xEF53:
      return "ext4";
    case 0x58465342:
      return "xfs";
    case 0x9123683E:
      return "btrfs";
    case 0x01021994:
      return "tmpfs";
    case 0x794C7630:
      return "overlay";
    default:
      return fmt::format("{:#x}", static_cast<unsigned long>(about.f_type));
  }
}

base::Result<double> MeasureSyncs(const std::string& directory, double seconds) {
  base::FileSystem& fs = base::PosixFileSystem();
  const std::string path = directory + "/sync";
  INFERQ_ASSIGN(auto file, fs.Open(path, base::OpenMode::kReadWrite));
  INFERQ_TRY(fs.Remove(path));
  INFERQ_TRY(file->WriteAt(0, std::string(kSyncBytes * kSyncBlocks, 'x')));
  INFERQ_TRY(file->Sync());
  const std::string block(kSyncBytes, 'y');
  const base::Clock& clock = base::SystemClock();
  base::SteadyTime begin = clock.Steady();
  uint64_t done = 0;
  std::chrono::duration<double> took{0};
  for (; took.count() < seconds || done == 0; took = clock.Steady() - begin) {
    INFERQ_TRY(file->WriteAt(done++ % kSyncBlocks * kSyncBytes, block));
    INFERQ_TRY(file->Sync());
  }
  return static_cast<double>(done) / took.count();
}

}  // namespace inferq::app
