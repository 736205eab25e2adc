#include "http/testing/test_handler.h"

namespace inferq::http::testing {

using namespace std::chrono_literals;
using runtime::Awaitable;

void TestHandler::Note(const base::Result<>& result) {
  if (!result) failures_.push_back(result.error().code());
}

void TestHandler::Release() {
  release_ = true;
  released_.NotifyAll();
}

std::string TestHandler::ErrorBody(int status, std::string_view message) {
  return fmt::format("error {}: {}", status, message);
}

Awaitable<void> TestHandler::Handle(Exchange& exchange) {
  const std::string path = exchange.request().path;
  if (path == "/hello") co_return co_await Text(exchange, "hello");
  if (path == "/echo") co_return co_await Echo(exchange);
  request_ = exchange.request();
  if (path == "/pieces") co_return co_await Pieces(exchange, 0s);
  if (path == "/slow") co_return co_await Pieces(exchange, 20s);
  if (path == "/ignore") co_return co_await Text(exchange, "ignored");
  if (path == "/chunks") co_return co_await Stream(exchange, std::nullopt);
  if (path == "/told") co_return co_await Stream(exchange, 3);
  if (path == "/short") co_return co_await Stream(exchange, 4);
  if (path == "/big") co_return co_await Text(exchange, std::string(kBigAnswer, 'b'));
  if (path == "/wait") co_return co_await Wait(exchange);
  if (path == "/half") {
    Note(co_await exchange.Begin(200, {}, std::nullopt));
    Note(co_await exchange.Write("half"));
  }
  if (path == "/inject") {
    exchange.AddHeader("X-Request-Id", "a\r\nSet-Cookie: b");
    Note(co_await exchange.Send(200, {}, "never"));
  }
}

Awaitable<void> TestHandler::Text(Exchange& exchange, std::string text) {
  exchange.AddHeader("X-Test", "yes");
  auto sent = co_await exchange.Send(200, {}, std::move(text));
  if (!sent) Note(sent);
}

Awaitable<void> TestHandler::Echo(Exchange& exchange) {
  auto body = co_await exchange.ReadBody(kEchoLimit);
  if (!body) {
    failures_.push_back(body.error().code());
    co_return;
  }
  auto sent = co_await exchange.Send(200, {}, *std::move(body));
  if (!sent) Note(sent);
}

Awaitable<void> TestHandler::Pieces(Exchange& exchange, base::Micros pause) {
  std::string sizes;
  for (;;) {
    if (pause > 0s) co_await exchange.runtime().SleepFor(pause);
    auto piece = co_await exchange.NextPiece();
    if (!piece) {
      failures_.push_back(piece.error().code());
      co_return;
    }
    if (piece->empty()) break;
    sizes += fmt::format("{} ", piece->size());
  }
  Note(co_await exchange.Send(200, {}, std::move(sizes)));
}

Awaitable<void> TestHandler::Stream(Exchange& exchange, std::optional<uint64_t> length) {
  Note(co_await exchange.Begin(200, {}, length));
  Note(co_await exchange.Write("ab"));
  Note(co_await exchange.Write("c"));
  Note(co_await exchange.End());
}

Awaitable<void> TestHandler::Wait(Exchange& exchange) {
  auto body = co_await exchange.ReadBody(kEchoLimit);
  if (!body) co_return;
  auto wake = [this] { released_.NotifyAll(); };
  runtime::CancelHook hook(exchange.gone(), std::move(wake));
  ++waiting_;
  while (!release_ && !exchange.gone()->cancelled()) co_await released_.Wait();
  --waiting_;
  if (exchange.gone()->cancelled()) ++gone_;
  Note(co_await exchange.Send(200, {}, "waited"));
}

}  // namespace inferq::http::testing
