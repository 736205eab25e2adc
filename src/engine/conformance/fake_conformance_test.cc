#include "engine/conformance/conformance.h"
#include "engine/fake/fake_engine.h"
#include "engine/responses_engine.h"
#include "engine/shape/shaped_engine.h"

namespace inferq::engine::conformance {
namespace {

using namespace std::chrono_literals;

/// What stands before the engine.
using Wrap = std::unique_ptr<Engine> (*)(runtime::Runtime&, std::unique_ptr<Engine>);

class FakeRig final : public Rig {
 public:
  FakeRig(runtime::AsioRuntime& runtime, uint32_t slots, Wrap wrap) {
    auto fake =
        std::make_unique<FakeEngine>(runtime, FakeOptions{.ttft = 1ms, .itl = 0ms, .slots = slots});
    fake->set_fault_hook([](const Request& request) -> std::optional<FakeEngine::Fault> {
      if (request.id == "long") return FakeEngine::Fault{.after_tokens = 3, .error = std::nullopt};
      return std::nullopt;
    });
    engine_ = wrap(runtime, std::move(fake));
  }
  Engine& engine() override { return *engine_; }
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
  std::unique_ptr<Engine> engine_;
};

std::unique_ptr<Engine> Bare(runtime::Runtime&, std::unique_ptr<Engine> engine) { return engine; }
std::unique_ptr<Engine> Shaped(runtime::Runtime&, std::unique_ptr<Engine> engine) {
  return MakeShapedEngine(std::move(engine),
                          {.stop = {"</a>"}, .strip_suffix = {"</a>"}, .buffer_stream = true});
}

Implementation With(std::string name, Wrap wrap) {
  return {.name = std::move(name),
          .make = [wrap](runtime::AsioRuntime& runtime, uint32_t slots) -> std::unique_ptr<Rig> {
            return std::make_unique<FakeRig>(runtime, slots, wrap);
          }};
}

INSTANTIATE_TEST_SUITE_P(Fake, EngineConformance,
                         testing::Values(With("fake", Bare), With("shaped", Shaped),
                                         With("responses", MakeResponsesEngine)),
                         ImplementationName);

}  // namespace
}  // namespace inferq::engine::conformance
