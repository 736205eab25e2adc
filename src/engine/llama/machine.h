#pragma once

#include <cstdint>
#include <string>

namespace inferq::engine::llama {

/// Physical cores that this process may use, within the CPU quota of its control group; >= 1.
uint32_t UsableCores();

/// Bytes that this process can have without swapping, within the memory limit of its control group.
/// What the system keeps of files counts: it gives that back, and a model's weights are such a
/// file.
uint64_t AvailableMemory();

inline constexpr uint32_t kUsualContext = 8192;  ///< Of a model that was trained for more.
inline constexpr uint32_t kUsualSlotsMax = 64;

/// Sequences that an engine chooses by itself: those whose caches take a third of the memory,
/// 1..kUsualSlotsMax.
/// @param kv_bytes  of one token's keys and values.
uint32_t UsualSlots(uint64_t available_bytes, uint64_t kv_bytes, uint64_t context_tokens);

/// Sequences whose caches fit beside the weights; 0: not one. UINT64_MAX: they take nothing.
uint64_t SequencesThatFit(uint64_t available_bytes, uint64_t weight_bytes, uint64_t kv_bytes,
                          uint64_t context_tokens);

/// For tests: the same as AvailableMemory, of files in the form of /proc/meminfo, and memory.max,
/// memory.current and memory.stat of a control group in `cgroup`.
uint64_t AvailableMemoryOf(const std::string& meminfo, const std::string& cgroup);

}  // namespace inferq::engine::llama
