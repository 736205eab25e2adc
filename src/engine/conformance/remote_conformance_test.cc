#include "engine/conformance/conformance.h"
#include "engine/remote/remote_engine.h"
#include "http/asio_dialer.h"
#include "http/testing/test_server.h"

namespace inferq::engine::conformance {
namespace {

using http::testing::Answer;
using http::testing::ChunkedAnswer;
using http::testing::Held;
using http::testing::Reply;
using http::testing::Seen;
using http::testing::TestServer;

constexpr std::string_view kCompletion =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,)"
    R"("message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}})";

class RemoteRig final : public Rig {
 public:
  RemoteRig(runtime::AsioRuntime& runtime, uint32_t slots, bool chunked)
      : server_(runtime, [chunked](const Seen& seen) { return Serve(seen, chunked); }) {
    std::shared_ptr<runtime::Dialer> dialer = *http::MakeAsioDialer(runtime);
    engine_ =
        *MakeRemoteEngine(runtime, std::move(dialer), {.base_url = server_.url(), .slots = slots});
  }
  Engine& engine() override { return *engine_; }
  Request LongRequest() override { return Make("long"); }
  Request ShortRequest(int n) override { return Make(fmt::format("short {}", n)); }
  Request BadRequest() override { return Make("bad"); }
  runtime::Awaitable<void> TearDown() override { co_await server_.Stop(); }

 private:
  static Reply Serve(const Seen& seen, bool chunked) {
    if (seen.body.contains("long")) return Held(Answer(200, kCompletion));
    if (seen.body.contains("bad")) {
      return Answer(
          400, R"({"error":{"message":"no such role","type":"x","param":"messages","code":null}})");
    }
    return chunked ? ChunkedAnswer(kCompletion, 10) : Answer(200, kCompletion);
  }
  static Request Make(std::string content) {
    Request request;
    request.id = "attempt-1";
    request.body = fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]}})", content);
    request.model = "m";
    return request;
  }

  TestServer server_;
  std::unique_ptr<Engine> engine_;
};

Implementation Remote(std::string name, bool chunked) {
  return {std::move(name),
          [chunked](runtime::AsioRuntime& runtime, uint32_t slots) -> std::unique_ptr<Rig> {
            return std::make_unique<RemoteRig>(runtime, slots, chunked);
          }};
}

INSTANTIATE_TEST_SUITE_P(Remote, EngineConformance,
                         testing::Values(Remote("plain", false), Remote("chunked", true)),
                         ImplementationName);

}  // namespace
}  // namespace inferq::engine::conformance
