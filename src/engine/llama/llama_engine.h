#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/llama/protocol.h"
#include "runtime/runtime.h"

namespace inferq::engine::llama {

/// How to run a local model. 0 means: chosen by the engine child (see ModelOptions).
struct LlamaOptions {
  std::string model_path;         ///< GGUF file; of a split model the first part.
  std::string adapter_path = {};  ///< LoRA adapter (GGUF) of the model; "": none.
  double adapter_scale = 1;       ///< How much of it; 0: nothing.
  uint32_t slots = 0;             ///< Requests at once, 1..256; 0: as memory allows, at most 64.
  uint32_t context_tokens =
      0;                      ///< Prompt plus output of one request; 0: the model's, at most 8192.
  uint64_t kv_tokens = 0;     ///< Tokens that all slots share; 0: slots * context_tokens.
  uint32_t threads = 0;       ///< 0: physical cores.
  uint32_t batch_tokens = 0;  ///< Most tokens in one step; 0: 512.
  int32_t gpu_layers = -1;    ///< -1: all that the library can put on a GPU.
  /// "auto", "shared" or "separate": whether prompts share what they begin with, see ModelOptions.
  std::string cache = "auto";

  std::string engine_binary;  ///< "": `inferq-engine` beside the running executable.
  size_t requests_max =
      65'536;  ///< Unfinished ones; beyond it Submit fails with kResourceExhausted.
  base::Micros load_timeout =
      std::chrono::minutes(15);  ///< Reading a large model may take minutes.
  base::Micros hang_timeout = std::chrono::seconds(300);  ///< Without a step while requests run.
  base::Micros stop_timeout = std::chrono::seconds(5);    ///< For the child to end by itself.
  base::Micros backoff_min =
      std::chrono::milliseconds(100);  ///< Before a restart; doubles up to the next,
  base::Micros backoff_max =
      std::chrono::seconds(10);    ///< begins anew once a request was finished.
  uint32_t load_failures_max = 3;  ///< In a row; then the engine gives up.
};

/// A local model, run by a supervised child process (`inferq-engine`), so that whatever kills the
/// child costs only the requests that ran in it.
///
///            Start        Hello            child dies             Hello
///   created ------> loading ----> ready -------------> restarting -----> ready
///                      |                                   |
///                      +--- permanent error, or load_failures_max in a row ---> failed
///
/// When the child dies, requests that it had begun fail with kAborted (one of them may be the
/// cause), those that only waited in it with kUnavailable; those submitted while it restarts wait
/// for it. Once failed, Submit fails with the reason. All calls on one strand, which must be the
/// runtime's.
class LlamaEngine final : public Engine {
 public:
  LlamaEngine(runtime::Runtime& runtime, LlamaOptions options);
  /// Stop comes first.
  ~LlamaEngine() override;

  Awaitable<base::Result<>> Start() override;
  Awaitable<void> Stop() override;
  base::Result<std::unique_ptr<Generation>> Submit(Request request) override;
  Capacity capacity() const override;
  std::string Describe() const override;

  /// Of all the children's lives; what is held now, of the present one.
  EngineStats stats() const;
  /// Of the child; 0 while there is none.
  pid_t child_pid() const;
  /// What the child chose for the zeros in the options; as given before it is loaded.
  LlamaOptions effective_options() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

std::unique_ptr<Engine> MakeLlamaEngine(runtime::Runtime& runtime, LlamaOptions options);

}  // namespace inferq::engine::llama
