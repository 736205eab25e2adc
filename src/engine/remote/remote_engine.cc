#include "engine/remote/remote_engine.h"

#include <algorithm>
#include <utility>

#include "engine/remote/answer.h"
#include "engine/remote/chunk_reader.h"
#include "engine/slotted_engine.h"
#include "http/client.h"
#include "http/interrupt.h"
#include "wire/json.h"
#include "wire/json_splice.h"

namespace inferq::engine {

using base::Code;
using base::Error;
using base::Fail;
using base::Micros;
using base::Result;

namespace {

constexpr Micros kProbeTimeout{30'000'000};
constexpr size_t kShortestSecret = 4;
// For the end of a streamed answer after [DONE], without which its connection cannot be kept.
constexpr Micros kEndTimeout{1'000'000};

/// Whether the server takes requests now, from how they ended. Pure.
class Health {
 public:
  explicit Health(const RemoteOptions& options) : options_(options), pause_(options.first_pause) {}

  bool paused() const { return paused_; }
  void Succeeded() { failures_ = 0; }
  /// @return how long to pause from now on; 0: no new pause.
  Micros Failed(const Error& error, bool connected) {
    bool transient = error.code() == Code::kUnavailable || error.code() == Code::kResourceExhausted;
    if (!transient) {  // an answer, if not the wished one
      failures_ = 0;
      return Micros(0);
    }
    ++failures_;
    if (paused_) return Micros(0);
    bool asked = error.retry_after().count() > 0;
    if (connected && !asked && failures_ < options_.failures_to_pause) return Micros(0);
    paused_ = true;
    pause_ = options_.first_pause;
    return asked ? std::min<Micros>(error.retry_after(), options_.longest_pause) : pause_;
  }
  void ProbeSucceeded() {
    paused_ = false;
    failures_ = 0;
  }
  /// @return how long to wait before the next probe.
  Micros ProbeFailed() {
    pause_ = std::min(pause_ * 2, options_.longest_pause);
    return pause_;
  }

 private:
  const RemoteOptions& options_;
  bool paused_ = false;
  uint32_t failures_ = 0;  // in a row
  Micros pause_;
};

// Not every server names its streams "text/event-stream".
bool IsEventStream(const http::ResponseHead& head) {
  auto type = http::FindHeader(head.headers, "content-type");
  return head.status / 100 == 2 && type && !type->starts_with("application/json");
}

/// A streamed answer under way. Closes its connection when the job stops, or when nothing comes for
/// too long. Servers send the head of a stream before they begin with the request, so the first
/// chunk may take as long as a plain answer; the client's own timeouts cannot tell the two apart.
class Streaming {
 public:
  Streaming(runtime::Runtime& runtime, const RemoteOptions& options,
            std::shared_ptr<runtime::Cancellation> stop)
      : runtime_(runtime),
        options_(options),
        first_chunk_by_(runtime.clock().Steady() + options.answer_timeout),
        watch_(runtime, std::move(stop), [close = close_] { close->Cancel(); }) {}

  Awaitable<Result<>> Open(http::Client& client, http::Request request);
  const http::ResponseHead& head() const { return stream_->head(); }
  /// The next piece; nullopt at the proper end.
  /// @param begun  chunks have come.
  Awaitable<Result<std::optional<std::string>>> Next(bool begun);
  /// All of an answer that is no stream.
  Awaitable<Result<http::Response>> ReadAll();
  /// Lets the connection be used again, where the server ends the answer properly and soon.
  Awaitable<void> End();

 private:
  runtime::Runtime& runtime_;
  const RemoteOptions& options_;
  base::SteadyTime first_chunk_by_;
  std::shared_ptr<runtime::Cancellation> close_ = std::make_shared<runtime::Cancellation>();
  http::Interrupt watch_;
  std::unique_ptr<http::ResponseStream> stream_;
};

Awaitable<Result<>> Streaming::Open(http::Client& client, http::Request request) {
  request.timeouts.idle = std::max(options_.answer_timeout, options_.idle_timeout);
  request.cancel = close_;
  INFERQ_CO_ASSIGN(stream_, co_await client.Open(std::move(request)));
  co_return Result<>{};
}

Awaitable<Result<std::optional<std::string>>> Streaming::Next(bool begun) {
  base::SteadyTime until = runtime_.clock().Steady() + options_.idle_timeout;
  watch_.Arm(begun ? until : std::max(until, first_chunk_by_));
  auto piece = co_await stream_->Next();
  if (!piece && watch_.cause() == http::Interrupt::Cause::kTime) {
    co_return Fail(Code::kUnavailable,
                   "{} sent nothing for too long in the middle of its answer; check that the "
                   "server is not stuck or overloaded, or allow more time",
                   options_.base_url);
  }
  co_return piece;
}

Awaitable<Result<http::Response>> Streaming::ReadAll() {
  http::Response response{head(), {}};
  for (;;) {
    INFERQ_CO_ASSIGN(auto piece, co_await Next(!response.body.empty()));
    if (!piece) co_return std::move(response);
    response.body += *piece;
  }
}

Awaitable<void> Streaming::End() {
  watch_.Arm(runtime_.clock().Steady() + kEndTimeout);
  (void)co_await stream_->Next();
}

class RemoteEngine final : public SlottedEngine {
 public:
  RemoteEngine(runtime::Runtime& runtime, std::shared_ptr<runtime::Dialer> dialer,
               RemoteOptions options)
      : SlottedEngine(runtime, options.slots, options.max_waiting),
        options_(std::move(options)),
        dialer_(std::move(dialer)),
        client_(runtime, *dialer_, {.max_per_origin = options_.slots + 1}),  // and a probe
        health_(options_) {}

  std::string Describe() const override { return "remote " + options_.base_url; }

 protected:
  Awaitable<Result<>> Open() override { return Probe(); }
  Result<> Prepare(Request& request) override;
  Awaitable<void> RunJob(std::shared_ptr<Job> job) override;
  bool MayBegin() const override { return !health_.paused(); }

 private:
  http::Request NewRequest(std::string method, std::string_view path) const;
  Awaitable<Result<>> Probe();
  Awaitable<void> ProbeUntilReady(Micros pause);
  http::Request NewQuestion(const Request& request, std::string body, bool& connected) const;
  Awaitable<Result<Delta>> Ask(std::shared_ptr<Job> job, bool& connected);
  Awaitable<Result<Delta>> AskStreamed(std::shared_ptr<Job> job, bool& connected);
  Error Redacted(Error error) const;

  RemoteOptions options_;
  std::shared_ptr<runtime::Dialer> dialer_;
  http::Client client_;
  Health health_;
};

// The key must not show even when a server repeats it.
Error RemoteEngine::Redacted(Error error) const {
  const std::string& key = options_.api_key;
  std::string message = error.message();
  if (key.size() < kShortestSecret || !message.contains(key)) return error;
  for (size_t at = message.find(key); at != message.npos; at = message.find(key, at)) {
    message.replace(at, key.size(), "[key]");
  }
  return Error(error.code(), std::move(message))
      .WithParam(error.param().contains(key) ? std::string() : error.param())
      .WithRetryAfter(error.retry_after());
}

http::Request RemoteEngine::NewRequest(std::string method, std::string_view path) const {
  http::Request request;
  request.method = std::move(method);
  request.url = options_.base_url + std::string(path);
  request.headers = {{"User-Agent", "inferq"}, {"Accept", "application/json"}};
  if (!options_.api_key.empty())
    request.headers.push_back({"Authorization", "Bearer " + options_.api_key});
  request.timeouts = {.connect = options_.connect_timeout,
                      .first_byte = options_.answer_timeout,
                      .idle = options_.idle_timeout};
  request.max_body = options_.max_answer;
  return request;
}

// Is the server there, and does it take the key? Servers without /models are fine.
Awaitable<Result<>> RemoteEngine::Probe() {
  http::Request request = NewRequest("GET", "/models");
  request.timeouts.first_byte = std::min(kProbeTimeout, options_.answer_timeout);
  request.cancel = stop();
  auto response = co_await client_.Send(std::move(request));
  if (!response) co_return std::unexpected(Redacted(std::move(response).error()));
  int status = response->head.status;
  if (status / 100 == 2 || (status >= 400 && status < 500 && status != 401 && status != 403)) {
    co_return Result<>{};
  }
  Error error = AnswerError(*response, runtime_.clock().Wall());
  if (status == 401 && options_.api_key.empty()) {
    co_return Fail(error.code(), "{} wants an API key and none was given", options_.base_url);
  }
  co_return std::unexpected(Redacted(std::move(error).WithContext(options_.base_url)));
}

Awaitable<void> RemoteEngine::ProbeUntilReady(Micros pause) {
  runtime::Event stopped(runtime_);
  runtime::CancelHook hook(stop(), [&stopped] { stopped.NotifyAll(); });
  while (!stop()->cancelled()) {
    co_await stopped.WaitUntil(runtime_.clock().Steady() + pause);
    if (stop()->cancelled()) co_return;
    auto probed = co_await Probe();
    if (probed || probed.error().code() == Code::kUnauthenticated ||
        probed.error().code() == Code::kPermissionDenied) {
      break;  // it answers; requests will say what is wrong
    }
    pause = health_.ProbeFailed();
  }
  health_.ProbeSucceeded();
  Pump();
}

Result<> RemoteEngine::Prepare(Request& request) {
  auto body = wire::ParseJson(request.body);
  if (!body) {
    return std::unexpected(
        Error(Code::kInvalidArgument, "The body is not JSON: " + body.error().message())
            .WithParam("body"));
  }
  if (body->type() != wire::JsonType::kObject) {
    return std::unexpected(
        Error(Code::kInvalidArgument,
              fmt::format("The body is {}, not an object", wire::JsonTypeName(body->type())))
            .WithParam("body"));
  }
  std::vector<wire::JsonEdit> edits;
  auto model = body->Find("model");
  const std::string& name = options_.model.empty() ? request.model : options_.model;
  if (!name.empty() && (!model || model->AsString() != name)) {
    edits.push_back({"model", wire::JsonString(name), true});
  }
  auto stream = body->Find("stream");
  if (!request.stream && stream && stream->AsBool() == true) {
    edits.push_back({"stream", "false", true});
    if (body->Find("stream_options")) edits.push_back({"stream_options", "null", true});
  }
  if (!edits.empty()) request.body = wire::SpliceJsonObject(*body, edits);
  return {};
}

// Below the base URL, which has the version.
std::string_view PathOf(Endpoint endpoint) {
  constexpr std::string_view kVersion = "/v1";
  return wire::EndpointPath(endpoint).substr(kVersion.size());
}

http::Request RemoteEngine::NewQuestion(const Request& request, std::string body,
                                        bool& connected) const {
  http::Request http = NewRequest("POST", PathOf(request.endpoint));
  http.headers.push_back({"Content-Type", "application/json"});
  if (!request.id.empty()) http.headers.push_back({"X-Request-Id", request.id});
  if (!request.traceparent.empty()) http.headers.push_back({"traceparent", request.traceparent});
  http.body = std::move(body);
  http.connected = &connected;
  return http;
}

Awaitable<Result<Delta>> RemoteEngine::Ask(std::shared_ptr<Job> job, bool& connected) {
  http::Request http = NewQuestion(job->request(), job->request().body, connected);
  http.cancel = job->stop();
  INFERQ_CO_ASSIGN(http::Response response, co_await client_.Send(std::move(http)));
  co_return ReadAnswer(std::move(response), runtime_.clock().Wall(), job->request().endpoint);
}

// Hands the chunks on as they come. @return the last Delta.
Awaitable<Result<Delta>> RemoteEngine::AskStreamed(std::shared_ptr<Job> job, bool& connected) {
  INFERQ_CO_ASSIGN(auto json, wire::ParseJson(job->request().body));
  StreamedBody body = BodyForStream(json);
  Streaming answer(runtime_, options_, job->stop());
  http::Request http = NewQuestion(job->request(), std::move(body.json), connected);
  INFERQ_CO_TRY(co_await answer.Open(client_, std::move(http)));
  if (!IsEventStream(answer.head())) {
    INFERQ_CO_ASSIGN(http::Response response, co_await answer.ReadAll());
    co_return ReadAnswer(std::move(response), runtime_.clock().Wall(), job->request().endpoint);
  }
  INFERQ_CO_TRY(CheckEncoding(answer.head()));
  ChunkReader reader(body.usage_wanted);
  for (;;) {
    INFERQ_CO_ASSIGN(auto piece, co_await answer.Next(reader.begun()));
    if (!piece) co_return reader.End();
    INFERQ_CO_ASSIGN(Delta delta, reader.Feed(*piece));
    job->EmitChunks(std::exchange(delta.raw_chunks, {}), std::exchange(delta.tokens, 0));
    if (!delta.finish_reason) continue;
    co_await answer.End();
    co_return delta;
  }
}

Awaitable<void> RemoteEngine::RunJob(std::shared_ptr<Job> job) {
  bool connected = false;
  auto asked = job->request().stream ? AskStreamed(job, connected) : Ask(job, connected);
  auto answer = co_await std::move(asked);
  if (job->ended()) co_return;
  if (answer) {
    health_.Succeeded();
    co_return job->Finish(*std::move(answer));
  }
  // Health first: whoever reads the error may look at capacity().ready next.
  Micros pause = health_.Failed(answer.error(), connected);
  if (pause.count() > 0) SpawnHelper(ProbeUntilReady(pause));
  job->Fail(Redacted(std::move(answer).error()));
}

/// What was given, without what people paste too much.
Result<std::string> NormalBaseUrl(std::string text) {
  INFERQ_ASSIGN(http::Url url, http::ParseUrl(text));
  if (url.target.contains('?')) {
    return Fail(Code::kInvalidArgument, "the address of a server cannot contain a '?'");
  }
  std::string path = url.target;
  auto drop = [&path](std::string_view end) {
    if (path.ends_with(end)) path.resize(path.size() - end.size());
  };
  while (path.ends_with('/')) path.pop_back();
  drop("/chat/completions");
  drop("/embeddings");
  drop("/completions");
  while (path.ends_with('/')) path.pop_back();
  return url.Origin() + (path.empty() ? "/v1" : path);
}

std::string Trimmed(const std::string& text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

Result<std::unique_ptr<Engine>> MakeRemoteEngine(runtime::Runtime& runtime,
                                                 std::shared_ptr<runtime::Dialer> dialer,
                                                 RemoteOptions options) {
  INFERQ_ASSIGN(options.base_url, NormalBaseUrl(Trimmed(options.base_url)));
  options.api_key = Trimmed(options.api_key);  // files end with a line break
  if (std::ranges::any_of(options.api_key, [](unsigned char c) { return c <= ' ' || c >= 0x7f; })) {
    return Fail(Code::kInvalidArgument,
                "the API key contains a space, a control character or one that is not ASCII");
  }
  if (options.slots == 0) return Fail(Code::kInvalidArgument, "the engine needs at least one slot");
  return std::make_unique<RemoteEngine>(runtime, std::move(dialer), std::move(options));
}

}  // namespace inferq::engine
