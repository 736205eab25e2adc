#include "gguf/llama_backends.h"

#include <dlfcn.h>
#include <llama.h>

#include <mutex>

#include "base/check.h"
#include "base/file_system.h"

namespace inferq::gguf {

std::string LlamaLibraryDirectory() {
  Dl_info info{};
  INFERQ_CHECK(::dladdr(reinterpret_cast<void*>(&llama_backend_init), &info) != 0);
  return base::DirectoryOf(info.dli_fname);
}

void InitLlama() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    ggml_backend_load_all_from_path(LlamaLibraryDirectory().c_str());
    llama_backend_init();
  });
}

}  // namespace inferq::gguf
