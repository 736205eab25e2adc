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

constexpr std::string_view kStream =
    R"(data: {"choices":[{"delta":{"role":"assistant","content":"hello"},"finish_reason":null}]})"
    "\n\n"
    R"(data: {"choices":[{"delta":{"content":" there"},"finish_reason":"stop"}]})"
    "\n\n"
    R"(data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}})"
    "\n\ndata: [DONE]\n\n";

// How the server answers.
enum class Style : uint8_t {
  kPlain,
  kChunked,  // the body in chunks of HTTP
  kStream,   // events, where the request asks for them; all requests do
};

class RemoteRig final : public Rig {
 public:
  RemoteRig(runtime::AsioRuntime& runtime, uint32_t slots, Style style)
      : style_(style), server_(runtime, [style](const Seen& seen) { return Serve(seen, style); }) {
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
  static Reply Serve(const Seen& seen, Style style) {
    if (seen.body.contains("long")) return Held(Answer(200, kCompletion));
    if (seen.body.contains("bad")) {
      return Answer(
          400, R"({"error":{"message":"no such role","type":"x","param":"messages","code":null}})");
    }
    if (seen.body.contains(R"("stream":true)") && style == Style::kStream)
      return ChunkedAnswer(kStream, 10, "Content-Type: text/event-stream\r\n");
    return style == Style::kPlain ? Answer(200, kCompletion) : ChunkedAnswer(kCompletion, 10);
  }
  Request Make(std::string content) const {
    Request request;
    request.id = "attempt-1";
    request.body = fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]}})", content);
    request.model = "m";
    request.stream = style_ == Style::kStream;
    return request;
  }

  Style style_;
  TestServer server_;
  std::unique_ptr<Engine> engine_;
};

Implementation Remote(std::string name, Style style) {
  return {std::move(name),
          [style](runtime::AsioRuntime& runtime, uint32_t slots) -> std::unique_ptr<Rig> {
            return std::make_unique<RemoteRig>(runtime, slots, style);
          }};
}

INSTANTIATE_TEST_SUITE_P(Remote, EngineConformance,
                         testing::Values(Remote("plain", Style::kPlain),
                                         Remote("chunked", Style::kChunked),
                                         Remote("stream", Style::kStream)),
                         ImplementationName);

}  // namespace
}  // namespace inferq::engine::conformance
