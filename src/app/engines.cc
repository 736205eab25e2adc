#include "app/engines.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "base/file_system.h"
#include "engine/fake/fake_engine.h"
#include "engine/llama/llama_engine.h"
#include "engine/remote/remote_engine.h"
#include "engine/responses_engine.h"
#include "http/asio_dialer.h"

namespace inferq::app {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr uint32_t kLocalConcurrency = 16;
constexpr uint32_t kOtherConcurrency = 32;

bool IsLocal(const EngineOptions& options) {
  return options.backend.empty() && options.engine.empty();
}

// The key of the backend: the file's first line, else the environment; never an argument, which
// others can see.
Result<std::string> ApiKey(const EngineOptions& options) {
  std::string key;
  if (!options.api_key_file.empty()) {
    INFERQ_ASSIGN(key, base::ReadFile(base::PosixFileSystem(), options.api_key_file));
  } else if (const char* from_environment = std::getenv("INFERQ_API_KEY")) {
    key = from_environment;
  }
  return key.substr(0, key.find_first_of("\r\n"));
}

Result<std::unique_ptr<engine::Engine>> MakeFake(runtime::AsioRuntime& runtime,
                                                 const EngineOptions& options) {
  engine::FakeOptions fake;
  INFERQ_ASSIGN(fake.ttft, ParseDuration(options.ttft));
  INFERQ_ASSIGN(fake.itl, ParseDuration(options.itl));
  fake.slots = ConcurrencyOf(options);
  fake.fail_rate = options.fail_rate;
  fake.seed = options.seed.value_or(1);
  return engine::MakeFakeEngine(runtime, fake);
}

Result<std::unique_ptr<engine::Engine>> MakeRemote(runtime::AsioRuntime& runtime,
                                                   const EngineOptions& options) {
  engine::RemoteOptions remote;
  remote.base_url = options.backend;
  remote.slots = ConcurrencyOf(options);
  INFERQ_ASSIGN(remote.api_key, ApiKey(options));
  INFERQ_ASSIGN(auto dialer, http::MakeAsioDialer(runtime, {}));
  return engine::MakeRemoteEngine(runtime, std::move(dialer), remote);
}

std::unique_ptr<engine::Engine> MakeLocal(runtime::AsioRuntime& runtime,
                                          const EngineOptions& options) {
  engine::llama::LlamaOptions local;
  local.model_path = options.model;
  local.adapter_path = options.adapter;
  local.adapter_scale = options.adapter_scale;
  local.slots = std::min(ConcurrencyOf(options), 256u);
  local.context_tokens = options.context_tokens;
  local.threads = options.threads;
  local.cache = options.cache;
  local.pooling = options.pooling;
  local.normalize = options.normalize;
  local.embed_tokens = options.embed_tokens;
  return engine::llama::MakeLlamaEngine(runtime, local);
}

}  // namespace

uint32_t ConcurrencyOf(const EngineOptions& options) {
  if (options.concurrency != 0) return options.concurrency;
  return IsLocal(options) ? kLocalConcurrency : kOtherConcurrency;
}

std::string ModelName(const EngineOptions& options) {
  if (!options.engine.empty()) return options.model.empty() ? "fake" : options.model;
  if (!options.backend.empty()) return options.model;
  return std::filesystem::path(options.model).stem().string();
}

Result<base::Micros> ParseDuration(const std::string& text) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, text.data() + text.size());
  double micros = unit == "us"   ? 1
                  : unit == "ms" ? 1e3
                  : unit == "s"  ? 1e6
                  : unit == "m"  ? 60e6
                                 : 0;
  if (error != std::errc() || micros == 0 || !(number >= 0) || number * micros > 86400e6) {
    return Fail(Code::kInvalidArgument,
                "'{}' is no duration: write for example 20ms, 1.5s or 300us (at most a day)", text);
  }
  return base::Micros(static_cast<int64_t>(number * micros));
}

namespace {

Result<std::unique_ptr<engine::Engine>> MakeBareEngine(runtime::AsioRuntime& runtime,
                                                       const EngineOptions& options) {
  if (!options.backend.empty() && !options.engine.empty()) {
    return Fail(Code::kInvalidArgument,
                "--backend and --engine exclude each other: choose where it runs");
  }
  if (!options.adapter.empty() && !IsLocal(options)) {
    return Fail(Code::kInvalidArgument, "--adapter belongs to a GGUF file that runs here: --model");
  }
  if (!options.engine.empty()) return MakeFake(runtime, options);
  if (!options.backend.empty()) return MakeRemote(runtime, options);
  if (options.model.empty()) {
    return Fail(Code::kInvalidArgument,
                "where shall it run? Give --model FILE.gguf, --backend URL, or --engine fake");
  }
  return MakeLocal(runtime, options);
}

}  // namespace

Result<std::unique_ptr<engine::Engine>> MakeEngine(runtime::AsioRuntime& runtime,
                                                   const EngineOptions& options) {
  INFERQ_ASSIGN(auto engine, MakeBareEngine(runtime, options));
  return engine::MakeResponsesEngine(runtime, std::move(engine));
}

}  // namespace inferq::app
