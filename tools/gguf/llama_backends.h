#pragma once

#include <string>

namespace inferq::gguf {

/// The directory of the libllama that this process runs with; its CPU and GPU backends lie there
/// too.
std::string LlamaLibraryDirectory();

/// Makes libllama ready: silent, with the backends of LlamaLibraryDirectory(). Once
/// per process, before any model is loaded; later calls do nothing.
void InitLlama();

}  // namespace inferq::gguf
