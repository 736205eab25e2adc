#include "http/client.h"

#include <algorithm>
#include <vector>

#include "http/interrupt.h"
#include "http/response_decoder.h"
#include "http/text.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

constexpr size_t kReadSize = 16u << 10;

Result<> CheckHeaders(const Request& request) {
  if (!IsToken(request.method))
    return Fail(Code::kInvalidArgument, "'{}' is not a method", request.method);
  for (const Header& header : request.headers) {
    if (!IsToken(header.name))
      return Fail(Code::kInvalidArgument, "'{}' is not a header name", header.name);
    if (!IsFieldValue(header.value)) {  // may be a secret: do not show it
      return Fail(Code::kInvalidArgument,
                  "the value of header '{}' contains a line break or control character",
                  header.name);
    }
  }
  return {};
}

std::string HeadOf(const Request& request, const Url& url) {
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, url.target, url.Authority());
  for (const Header& header : request.headers) {
    head += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if (!FindHeader(request.headers, "accept")) head += "Accept: */*\r\n";
  uint64_t size = request.body_source ? request.body_source->size() : request.body.size();
  if (size > 0 || request.method != "GET") head += fmt::format("Content-Length: {}\r\n", size);
  return head + "\r\n";
}

/// One request and its answer on one connection.
class Exchange final : public ResponseStream {
 public:
  Exchange(runtime::Runtime& runtime, std::unique_ptr<Pool::Connection> connection,
           const Request& request, runtime::Address address)
      : runtime_(runtime),
        connection_(std::move(connection)),
        address_(std::move(address)),
        deadline_(request.deadline),
        timeouts_(request.timeouts),
        decoder_(request.max_body),
        interrupt_(runtime, request.cancel, [this] { Close(); }) {}

  /// Writes the request and reads the head of the answer.
  Awaitable<Result<>> Begin(std::string_view head, std::string_view body, BodySource* source);

  const ResponseHead& head() const override { return decoder_.head(); }
  Awaitable<Result<std::optional<std::string>>> Next() override;

  /// Whether Begin failed in the way of a connection that the server had closed in the meantime.
  bool WasStale() const { return was_stale_; }

 private:
  Awaitable<Result<>> SendBody(BodySource& source);
  Awaitable<void> Write(std::string_view first, std::string_view second);
  Awaitable<Result<>> ReadSome();
  void Arm(base::Micros phase);
  void Close();
  void Finish();
  Error Explain(Error error);

  runtime::Runtime& runtime_;
  std::unique_ptr<Pool::Connection> connection_;  // null once given back or closed
  runtime::Address address_;
  SteadyTime deadline_;
  Timeouts timeouts_;
  ResponseDecoder decoder_;
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
  bool was_stale_ = false;
  bool write_failed_ = false;
  std::string_view phase_;
  Interrupt interrupt_;  // last: may call Close while we are made
};

void Exchange::Arm(base::Micros phase) {
  SteadyTime now = runtime_.clock().Steady();
  interrupt_.Arm(phase < deadline_ - now ? now + phase : deadline_);
}

void Exchange::Close() {
  if (connection_) connection_->stream().Close();
}

// All of the answer is here.
void Exchange::Finish() {
  interrupt_.Arm(SteadyTime::max());
  if (decoder_.keep_alive() && !write_failed_) connection_->GiveBack();
  connection_.reset();
}

Error Exchange::Explain(Error error) {
  switch (interrupt_.cause()) {
    case Interrupt::Cause::kCancelled:
      return Error(Code::kCancelled,
                   fmt::format("the request to {} was cancelled", address_.ToString()));
    case Interrupt::Cause::kTime:
      if (runtime_.clock().Steady() >= deadline_) {
        return Error(Code::kDeadlineExceeded,
                     fmt::format("the deadline passed while {} {}", phase_, address_.ToString()));
      }
      return Error(
          Code::kUnavailable,
          fmt::format("{} {} took too long; check that the server is not stuck or overloaded, or "
                      "allow more time",
                      phase_, address_.ToString()));
    case Interrupt::Cause::kNone:
      break;
  }
  if (error.code() == Code::kResourceExhausted) {
    return std::move(error).WithContext(address_.ToString());
  }
  if (!decoder_.got_any()) {
    return Error(
        Code::kUnavailable,
        fmt::format(
            "{} closed the connection before it answered ({}); check the server's log: it may "
            "have crashed or be restarting",
            address_.ToString(), error.message()));
  }
  return Error(Code::kUnavailable,
               fmt::format("{} broke off its answer after {} bytes of the body ({})",
                           address_.ToString(), decoder_.body_size(), error.message()));
}

Awaitable<Result<>> Exchange::ReadSome() {
  auto got = co_await connection_->stream().Read(buffer_);
  if (!got) co_return std::unexpected(std::move(got).error());
  if (*got == 0) {
    if (!decoder_.got_any()) co_return Fail(Code::kUnavailable, "end of stream");
    co_return decoder_.FeedEnd();
  }
  co_return decoder_.Feed({buffer_.data(), *got});
}

// The server may have answered early (413) and closed: a failure shows when the answer is read.
Awaitable<void> Exchange::Write(std::string_view first, std::string_view second) {
  Arm(timeouts_.idle);
  auto sent = co_await connection_->stream().Write(first, second);
  write_failed_ = !sent;
}

// Fails only as the source does.
Awaitable<Result<>> Exchange::SendBody(BodySource& source) {
  for (uint64_t left = source.size(); left > 0 && !write_failed_;) {
    interrupt_.Arm(deadline_);  // how long a piece takes to come is the source's affair
    INFERQ_CO_ASSIGN(std::string piece, co_await source.Next());
    if (interrupt_.cause() != Interrupt::Cause::kNone) co_return Result<>{};
    if (piece.empty()) {
      co_return Fail(Code::kDataLoss, "the body of the request ended {} bytes too early", left);
    }
    if (piece.size() > left) {
      co_return Fail(Code::kDataLoss,
                     "the body of the request is longer than the {} bytes announced",
                     source.size());
    }
    left -= piece.size();
    co_await Write(piece, std::string_view());
  }
  co_return Result<>{};
}

Awaitable<Result<>> Exchange::Begin(std::string_view head, std::string_view body,
                                    BodySource* source) {
  phase_ = "sending the request to";
  co_await Write(head, body);
  if (source) INFERQ_CO_TRY(co_await SendBody(*source));
  phase_ = "waiting for an answer from";
  Arm(timeouts_.first_byte);
  while (!decoder_.head_done()) {
    auto read = co_await ReadSome();
    if (!read) {
      bool untouched = interrupt_.cause() == Interrupt::Cause::kNone && !decoder_.got_any();
      was_stale_ = untouched && connection_->reused();
      Error error = Explain(std::move(read).error());
      connection_.reset();
      co_return std::unexpected(std::move(error));
    }
    phase_ = "reading the answer of";
    Arm(timeouts_.idle);
  }
  if (decoder_.done()) Finish();
  co_return Result<>{};
}

Awaitable<Result<std::optional<std::string>>> Exchange::Next() {
  for (;;) {
    if (auto body = decoder_.TakeBody(); !body.empty()) co_return std::move(body);
    if (decoder_.done()) co_return std::nullopt;
    if (!connection_) co_return Fail(Code::kFailedPrecondition, "the answer had failed before");
    Arm(timeouts_.idle);
    auto read = co_await ReadSome();
    if (!read) {
      Error error = Explain(std::move(read).error());
      connection_.reset();
      co_return std::unexpected(std::move(error));
    }
    if (decoder_.done()) Finish();
  }
}

}  // namespace

Client::Client(runtime::Runtime& runtime, runtime::Dialer& dialer, PoolOptions options)
    : runtime_(runtime), pool_(runtime, dialer, options) {}

Awaitable<Result<std::unique_ptr<ResponseStream>>> Client::Open(Request request) {
  INFERQ_CO_ASSIGN(Url url, ParseUrl(request.url));
  INFERQ_CO_TRY(CheckHeaders(request));
  std::string head = HeadOf(request, url);
  Pool::Want want{.address = url.address,
                  .connect_timeout = request.timeouts.connect,
                  .deadline = request.deadline,
                  .cancel = request.cancel};
  for (;;) {
    INFERQ_CO_ASSIGN(auto connection, co_await pool_.Get(want));
    if (request.connected) *request.connected = true;
    auto exchange =
        std::make_unique<Exchange>(runtime_, std::move(connection), request, url.address);
    BodySource* source = request.body_source.get();
    std::string_view body = source ? std::string_view() : request.body;
    auto begun = co_await exchange->Begin(head, body, source);
    if (begun) co_return std::move(exchange);
    if (!exchange->WasStale() || (source && !source->Restart())) {
      co_return std::unexpected(std::move(begun).error());
    }
    want.fresh = true;  // so this happens once
  }
}

Awaitable<Result<Response>> Client::Send(Request request) {
  INFERQ_CO_ASSIGN(auto stream, co_await Open(std::move(request)));
  Response response{stream->head(), {}};
  for (;;) {
    INFERQ_CO_ASSIGN(auto piece, co_await stream->Next());
    if (!piece) co_return std::move(response);
    if (response.body.empty()) {
      response.body = *std::move(piece);
    } else {
      response.body += *piece;
    }
  }
}

}  // namespace inferq::http
