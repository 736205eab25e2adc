#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/llama/gguf_header.h"

namespace inferq::engine::llama {

struct GgufPart {
  std::string path;
  uint64_t file_bytes = 0;
  GgufHeader header;
};

/// The file or files of a model or an adapter. The first part has what the model says about itself.
struct GgufFile {
  std::vector<GgufPart> parts;  ///< At least one.
  const GgufHeader& header() const { return parts.front().header; }
};

/// Reads the headers of a file, and of a split model's other parts, which lie beside the first.
/// Blocks. kNotFound; kPermissionDenied; kInvalidArgument: a directory, another format, damaged,
/// too short, a later part of a split: a sentence that says what to do.
base::Result<GgufFile> ReadGgufFile(const std::string& path);

/// Looks whether a path can be a model before anything is started for it. As ReadGgufFile, and
/// kInvalidArgument for an adapter.
base::Result<> CheckGgufFile(const std::string& path);

/// The same for a LoRA adapter of that model, which was checked before. kInvalidArgument: no
/// adapter, of another kind, or for another architecture.
base::Result<> CheckGgufAdapter(const std::string& path, const std::string& model_path);

}  // namespace inferq::engine::llama
