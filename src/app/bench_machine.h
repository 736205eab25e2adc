#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.h"

namespace inferq::app {

/// What a process has used until now, out of /proc.
struct ProcessUsage {
  double user_seconds = 0;
  double system_seconds = 0;
  uint64_t resident_bytes = 0;
  uint64_t peak_bytes = 0;
};

/// Zeros when the process is gone.
ProcessUsage UsageOf(pid_t pid);
/// This process.
ProcessUsage OwnUsage();

double LoadAverage();
uint32_t Cores();
/// "Linux 6.1.0"
std::string Kernel();
/// "ext4", "tmpfs" (whose fsync costs nothing), or its number.
std::string FileSystemOf(const std::string& directory);

/// 4 KiB written and fdatasync'ed, over and over for `seconds`: how many a second. Blocks. Leaves
/// no file behind.
base::Result<double> MeasureSyncs(const std::string& directory, double seconds);

}  // namespace inferq::app
