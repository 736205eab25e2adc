#include "engine/llama/machine.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <thread>
#include <utility>

namespace inferq::engine::llama {
namespace {

// The first number of a one-line file; nullopt when there is none ("max").
std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// The number behind a word at the beginning of a line.
std::optional<uint64_t> ReadNumberOf(const std::string& path, std::string_view word) {
  std::ifstream file(path);
  std::string key;
  std::string rest;
  for (uint64_t number = 0; file >> key >> number; std::getline(file, rest)) {
    if (key == word) return number;
  }
  return std::nullopt;
}

uint32_t CoresOfAffinity() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return std::thread::hardware_concurrency();
  std::set<std::pair<uint64_t, uint64_t>> cores;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
    cores.emplace(ReadNumber(topology + "physical_package_id").value_or(0),
                  ReadNumber(topology + "core_id").value_or(cpu));
  }
  return static_cast<uint32_t>(cores.size());
}

// Whole CPUs that the control group grants ("quota period" in cpu.max), nullopt without a limit.
std::optional<uint32_t> CoresOfQuota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || period <= 0) return std::nullopt;
  return static_cast<uint32_t>(std::max(1.0, quota / period));
}

// What the control group leaves, its caches of files not counted; nullopt without a limit.
std::optional<uint64_t> MemoryOfQuota(const std::string& cgroup) {
  const auto most = ReadNumber(cgroup + "/memory.max");
  if (!most) return std::nullopt;
  const uint64_t used = ReadNumber(cgroup + "/memory.current").value_or(0);
  const uint64_t files = ReadNumberOf(cgroup + "/memory.stat", "inactive_file").value_or(0);
  const uint64_t kept = used - std::min(used, files);
  return *most - std::min(*most, kept);
}

}  // namespace

uint32_t UsableCores() {
  const uint32_t cores = std::max(1u, CoresOfAffinity());
  return std::min(cores, CoresOfQuota().value_or(cores));
}

uint64_t AvailableMemoryOf(const std::string& meminfo, const std::string& cgroup) {
  const uint64_t machine = ReadNumberOf(meminfo, "MemAvailable:").value_or(0) * 1024;
  return std::min(machine, MemoryOfQuota(cgroup).value_or(machine));
}

uint64_t AvailableMemory() { return AvailableMemoryOf("/proc/meminfo", "/sys/fs/cgroup"); }

uint32_t UsualSlots(uint64_t available_bytes, uint64_t kv_bytes, uint64_t context_tokens) {
  const uint64_t per_slot = std::max<uint64_t>(1, kv_bytes * context_tokens);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(available_bytes / 3 / per_slot, 1, kUsualSlotsMax));
}

uint64_t SequencesThatFit(uint64_t available_bytes, uint64_t weight_bytes, uint64_t kv_bytes,
                          uint64_t context_tokens) {
  const uint64_t per_sequence = kv_bytes * context_tokens;
  if (per_sequence == 0) return std::numeric_limits<uint64_t>::max();
  return (available_bytes - std::min(available_bytes, weight_bytes)) / per_sequence;
}

}  // namespace inferq::engine::llama
