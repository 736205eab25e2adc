#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace inferq::gguf {

/// Values as a training program wrote them: row-major, the last dimension of `shape` is contiguous.
struct NamedTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};
using NamedTensors = std::map<std::string, NamedTensor, std::less<>>;

/// Reads the bytes of a safetensors file (a little-endian u64, that many bytes of JSON, then the
/// values). Of its types only F32 is understood.
/// @return kInvalidArgument: no such file, or a tensor that does not lie in it; names the tensor.
base::Result<NamedTensors> ParseSafetensors(std::string_view bytes);

}  // namespace inferq::gguf
