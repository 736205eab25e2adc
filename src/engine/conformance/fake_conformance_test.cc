#include "engine/conformance/conformance.h"
#include "engine/fake/fake_engine.h"

namespace inferq::engine::conformance {
namespace {

using namespace std::chrono_literals;

class FakeRig final : public Rig {
 public:
  FakeRig(runtime::AsioRuntime& runtime, uint32_t slots)
      : engine_(runtime, {.ttft = 1ms, .itl = 0ms, .slots = slots}) {
    engine_.set_fault_hook([](const Request& request) -> std::optional<FakeEngine::Fault> {
      if (request.id == "long") return FakeEngine::Fault{.after_tokens = 3, .error = std::nullopt};
      return std::nullopt;
    });
  }
  Engine& engine() override { return engine_; }
  Request LongRequest() override {
    return Make("long", R"({"messages":[{"role":"user","content":"x"}]})");
  }
  Request ShortRequest(int n) override {
    return Make(
        "short",
        fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}],"max_tokens":5}})", n));
  }
  Request BadRequest() override {
    return Make("bad", R"({"messages":[{"role":"user","content":"x"}],"max_tokens":0})");
  }

 private:
  static Request Make(std::string id, std::string body) {
    Request request;
    request.id = std::move(id);
    request.body = std::move(body);
    return request;
  }
  FakeEngine engine_;
};

INSTANTIATE_TEST_SUITE_P(Fake, EngineConformance,
                         testing::Values(Implementation{"fake",
                                                        [](runtime::AsioRuntime& runtime,
                                                           uint32_t slots) -> std::unique_ptr<Rig> {
                                                          return std::make_unique<FakeRig>(runtime,
                                                                                           slots);
                                                        }}),
                         ImplementationName);

}  // namespace
}  // namespace inferq::engine::conformance
