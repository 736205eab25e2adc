#include "app/serve_models.h"

#include "engine/fake/fake_engine.h"
#include "engine/llama/llama_engine.h"
#include "engine/remote/remote_engine.h"
#include "engine/responses_engine.h"
#include "engine/shape/shaped_engine.h"
#include "http/asio_dialer.h"

namespace inferq::app {
namespace {

using base::Result;
using EnginePtr = std::unique_ptr<engine::Engine>;

Result<EnginePtr> MakeLocal(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  engine::llama::LlamaOptions local;
  local.model_path = options.path;
  local.adapter_path = options.adapter;
  local.adapter_scale = options.adapter_scale;
  local.slots = std::min(options.concurrency, 256u);
  local.context_tokens = options.context_tokens;
  local.threads = options.threads;
  local.cache = options.cache;
  local.embed_window = options.embed_window;
  local.embed_tokens = options.embed_tokens;
  local.pooling = options.pooling;
  local.normalize = options.normalize;
  return engine::llama::MakeLlamaEngine(runtime, local);
}

Result<EnginePtr> MakeRemote(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  engine::RemoteOptions remote;
  remote.base_url = options.url;
  remote.api_key = options.api_key;
  remote.model = options.upstream_name;
  remote.slots = options.concurrency;
  INFERQ_ASSIGN(auto dialer, http::MakeAsioDialer(runtime, {}));
  return engine::MakeRemoteEngine(runtime, std::move(dialer), remote);
}

Result<EnginePtr> MakeFake(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  engine::FakeOptions fake;
  fake.ttft = options.ttft;
  fake.itl = options.itl;
  fake.slots = options.concurrency;
  fake.tokens = options.tokens;
  fake.fail_rate = options.fail_rate;
  return engine::MakeFakeEngine(runtime, fake);
}

Result<EnginePtr> MakeBareEngine(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  switch (options.kind) {
    case ModelOptions::Kind::kGguf:
      return MakeLocal(runtime, options);
    case ModelOptions::Kind::kRemote:
      return MakeRemote(runtime, options);
    case ModelOptions::Kind::kFake:
      return MakeFake(runtime, options);
  }
  return base::Fail(base::Code::kInternal, "a model of no kind");
}

Result<EnginePtr> MakeEngineOf(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  INFERQ_ASSIGN(EnginePtr engine, MakeBareEngine(runtime, options));
  if (!options.shape.empty()) {
    engine = engine::MakeShapedEngine(std::move(engine), options.shape);
  }
  return engine::MakeResponsesEngine(runtime, std::move(engine));
}

}  // namespace

std::string DescribeModel(const ModelOptions& options) {
  switch (options.kind) {
    case ModelOptions::Kind::kGguf:
      return "llama " + options.path + (options.adapter.empty() ? "" : " with " + options.adapter);
    case ModelOptions::Kind::kRemote:
      return "remote " + options.url;
    case ModelOptions::Kind::kFake:
      return "fake";
  }
  return "";
}

service::ModelSpec MakeModelSpec(runtime::AsioRuntime& runtime, const ModelOptions& options) {
  bool remote = options.kind == ModelOptions::Kind::kRemote;
  return {.name = options.name,
          .owner = remote ? "backend" : "inferq",
          .engine = DescribeModel(options),
          .since = runtime.clock().Wall(),
          .local = !remote,
          .slots = options.concurrency,
          .reserved = options.reserved,
          .make_engine = [&runtime, options] { return MakeEngineOf(runtime, options); }};
}

}  // namespace inferq::app
