#pragma once

#include <string>

#include "base/error.h"

namespace inferq::engine::llama {

/// Looks whether a path can be a GGUF model before anything is started for it. Reads the first
/// bytes; blocks. kNotFound; kPermissionDenied; kInvalidArgument: a directory, empty, or another
/// format, with what to do.
base::Result<> CheckGgufFile(const std::string& path);

}  // namespace inferq::engine::llama
