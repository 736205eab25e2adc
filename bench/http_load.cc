// Load on one HTTP address: so many connections, each sends its next request when the answer to the
// last one is there; or, with a rate, when it is meant to be sent, and the time counts from then.
// Beside them, if asked, clients that send a byte a second.
//
// Prints one JSON object: requests, errors, requests a second, and latencies in milliseconds.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "app/bench_stats.h"
#include "http/asio_dialer.h"
#include "http/client.h"
#include "http/url.h"
#include "runtime/asio_runtime.h"
#include "runtime/event.h"

namespace inferq {
namespace {

using namespace std::chrono_literals;
using runtime::Awaitable;

struct Options {
  std::string url;
  std::string method = "GET";
  std::string body_file;
  uint32_t connections = 64;
  uint32_t slow = 0;
  std::string slow_url;
  double seconds = 10;
  double pause_ms = 0;
  double rate = 0;
};

class Load {
 public:
  Load(runtime::AsioRuntime& runtime, runtime::Dialer& dialer, Options options)
      : runtime_(runtime),
        dialer_(dialer),
        options_(std::move(options)),
        client_(runtime, dialer, {.max_per_origin = options_.connections}),
        pace_(options_.rate),
        scope_(runtime) {
    if (!options_.body_file.empty()) {
      std::ifstream file(options_.body_file);
      std::stringstream text;
      text << file.rdbuf();
      body_ = text.str();
    }
  }

  Awaitable<void> Run() {
    for (uint32_t i = 0; i < options_.slow; ++i) scope_.Spawn(SendSlowly());
    if (options_.slow > 0) co_await runtime_.SleepFor(3s);  // until they are all there
    base::SteadyTime begin = runtime_.clock().Steady();
    end_ = begin + base::Micros(static_cast<int64_t>(options_.seconds * 1e6));
    for (uint32_t i = 0; i < options_.connections; ++i) scope_.Spawn(SendInTurn());
    while (!over()) {
      slow_open_ = slow_now_;
      co_await runtime_.SleepFor(50ms);
    }
    elapsed_ = runtime_.clock().Steady() - begin;
    co_await scope_.Join();
    Print();
    runtime_.Stop();
  }

 private:
  bool over() const { return runtime_.clock().Steady() >= end_; }

  Awaitable<void> SendInTurn() {
    while (!over()) {
      http::Request request;
      request.method = options_.method;
      request.url = options_.url;
      request.body = body_;
      if (!body_.empty()) request.headers.push_back({"Content-Type", "application/json"});
      base::SteadyTime meant = pace_.Next(runtime_.clock().Steady());
      if (meant >= end_) break;
      if (options_.rate > 0) co_await runtime_.SleepUntil(meant);
      auto response = co_await client_.Send(std::move(request));
      if (!response || response->head.status >= 300) ++errors_;
      latencies_.Add(runtime_.clock().Steady() - meant);
      if (options_.pause_ms > 0)
        co_await runtime_.SleepFor(base::Micros(static_cast<int64_t>(options_.pause_ms * 1000)));
    }
  }

  // A request that is announced as a megabyte and comes a byte a second, anew when it is cut off.
  Awaitable<void> SendSlowly() {
    auto url = http::ParseUrl(options_.slow_url.empty() ? options_.url : options_.slow_url);
    while (url && !over()) {
      auto stream = co_await dialer_.Dial(url->address, runtime_.clock().Steady() + 10s, nullptr);
      if (!stream) continue;
      ++slow_now_;
      std::string head =
          fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n",
                      url->target, url->Authority());
      auto written = co_await (*stream)->Write(head, "");
      while (written && !over()) {
        co_await runtime_.SleepFor(1s);
        written = co_await (*stream)->Write("x", "");
      }
      --slow_now_;
      ++slow_rounds_;
    }
  }

  void Print() {
    auto at = [this](double part) { return latencies_.Percentile(part); };
    double seconds = std::chrono::duration<double>(elapsed_).count();
    fmt::print(
        R"({{"requests":{},"errors":{},"per_s":{:.1f},"p50_ms":{:.3f},"p90_ms":{:.3f},"p99_ms":{:.3f},)"
        R"("max_ms":{:.3f},"slow_open":{},"slow_rounds":{}}})"
        "\n",
        latencies_.count(), errors_, static_cast<double>(latencies_.count()) / seconds, at(0.5),
        at(0.9), at(0.99), at(1.0), slow_open_, slow_rounds_);
  }

  runtime::AsioRuntime& runtime_;
  runtime::Dialer& dialer_;
  const Options options_;
  http::Client client_;
  app::Pace pace_;
  runtime::Scope scope_;
  std::string body_;
  base::SteadyTime end_ = base::SteadyTime::max();
  base::Micros elapsed_{0};
  app::Latencies latencies_;
  uint64_t errors_ = 0;
  uint64_t slow_now_ = 0;
  uint64_t slow_open_ = 0;
  uint64_t slow_rounds_ = 0;
};

}  // namespace
}  // namespace inferq

int main(int argc, char** argv) {
  inferq::Options options;
  CLI::App app("HTTP load; prints one JSON object.", "inferq-bench-http-load");
  app.add_option("URL", options.url, "Where to send requests")->required();
  app.add_option("--method", options.method, "GET or POST")->capture_default_str();
  app.add_option("--body", options.body_file, "File with the request's JSON body");
  app.add_option("--connections", options.connections, "Clients at once")->capture_default_str();
  app.add_option("--slow", options.slow, "More clients that send a byte a second");
  app.add_option("--slow-url", options.slow_url, "Where those send to; default: URL");
  app.add_option("--seconds", options.seconds, "How long")->capture_default_str();
  app.add_option("--pause", options.pause_ms,
                 "Milliseconds between an answer and the next request");
  app.add_option("--rate", options.rate,
                 "Requests a second that are meant to be sent, whether or not answers come");
  CLI11_PARSE(app, argc, argv);
  inferq::runtime::AsioRuntime runtime;
  auto dialer = inferq::http::MakeAsioDialer(runtime, {});
  if (!dialer) return 1;
  inferq::Load load(runtime, **dialer, options);
  runtime.SpawnDetached(load.Run());
  runtime.Run();
  return 0;
}
