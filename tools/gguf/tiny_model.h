#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace inferq::testing {

/// Writes the preset "tiny" as `dir`/tiny-ARCH-SEED.gguf and returns that path. For tests: stops
/// the process when it cannot.
/// @param arch   "llama", "glm4" or "bert"
/// @param tools  with a chat template that knows tools; then the name ends in "-tools".
std::string MakeTinyModel(const std::string& dir, std::string_view arch, uint64_t seed,
                          bool tools = false);

}  // namespace inferq::testing
