#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/engine.h"
#include "runtime/asio_runtime.h"

namespace inferq::app {

/// Which engine a command line asks for.
struct EngineOptions {
  std::string model{};    ///< GGUF path, or the name of a backend's model.
  std::string adapter{};  ///< With a GGUF: LoRA adapter; "": none.
  double adapter_scale = 1;
  std::string backend{};  ///< Base URL.
  std::string api_key_file{};
  std::string engine{};      ///< "fake" or "".
  uint32_t concurrency = 0;  ///< 0: the kind's default.
  uint32_t context_tokens = 0;
  uint32_t threads = 0;
  std::string cache = "auto";     ///< Of a GGUF: "auto", "shared", "separate".
  std::string pooling = "model";  ///< Of embeddings of a GGUF: "model", "mean", "cls", "last".
  bool normalize = true;          ///< Whether they have length 1.
  uint32_t embed_tokens = 0;      ///< Longest input of one; 0: the context, at most 2048.
  std::string ttft = "20ms";
  std::string itl = "2ms";
  double fail_rate = 0;
  std::optional<uint64_t> seed{};
};

/// Requests under way at once.
uint32_t ConcurrencyOf(const EngineOptions& options);
/// What requests that name no model get: the backend's, or the GGUF's file name without extension.
std::string ModelName(const EngineOptions& options);
/// "20ms", "1.5s", "300us". kInvalidArgument otherwise.
base::Result<base::Micros> ParseDuration(const std::string& text);

/// Makes the engine without starting it. kInvalidArgument: no engine chosen, two at once, an
/// unreadable key file, a malformed URL or duration.
base::Result<std::unique_ptr<engine::Engine>> MakeEngine(runtime::AsioRuntime& runtime,
                                                         const EngineOptions& options);

}  // namespace inferq::app
