#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"

namespace inferq::app {

/// A file of batch lines, for uploads. It has no name any more: it is gone with `file`.
struct BatchFile {
  std::shared_ptr<base::File> file;
  uint64_t bytes = 0;
};

/// Blocks. @param directory  where it lies. @param model  which the lines name.
base::Result<BatchFile> WriteBatchFile(const std::string& directory, uint64_t lines,
                                       const std::string& model, uint32_t max_tokens);

}  // namespace inferq::app
