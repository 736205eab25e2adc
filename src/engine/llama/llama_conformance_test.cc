#include <stdlib.h>

#include <filesystem>

#include "engine/conformance/conformance.h"
#include "engine/llama/llama_engine.h"
#include "gguf/tiny_model.h"

namespace inferq::engine::conformance {
namespace {

class LlamaRig final : public Rig {
 public:
  LlamaRig(runtime::AsioRuntime& runtime, uint32_t slots) {
    std::string pattern = ::testing::TempDir() + "inferq_rig_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    llama::LlamaOptions options;
    options.model_path = testing::MakeTinyModel(directory_, "llama", 2);
    options.slots = slots;
    options.context_tokens = 65'536;
    options.threads = 1;
    engine_ = llama::MakeLlamaEngine(runtime, options);
  }
  ~LlamaRig() override { std::filesystem::remove_all(directory_); }

  Engine& engine() override { return *engine_; }
  Request LongRequest() override { return Chat("go on", 60'000); }
  Request ShortRequest(int n) override { return Chat(fmt::format("request {}", n), 12); }
  Request BadRequest() override {
    Request request = Chat("hi", 1);
    request.body = R"({"messages":[{"role":"user","content":"hi"}],"temperature":"hot"})";
    return request;
  }

 private:
  static Request Chat(std::string_view text, int max_tokens) {
    Request request;
    request.id = "attempt";
    request.body = fmt::format(
        R"({{"messages":[{{"role":"user","content":"{}"}}],"max_tokens":{},"temperature":0,"ignore_eos":true}})",
        text, max_tokens);
    return request;
  }

  std::string directory_;
  std::unique_ptr<Engine> engine_;
};

std::unique_ptr<Rig> MakeRig(runtime::AsioRuntime& runtime, uint32_t slots) {
  return std::make_unique<LlamaRig>(runtime, slots);
}

INSTANTIATE_TEST_SUITE_P(Llama, EngineConformance,
                         ::testing::Values(Implementation{"llama", MakeRig}), ImplementationName);

}  // namespace
}  // namespace inferq::engine::conformance
