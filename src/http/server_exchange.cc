#include "http/server_exchange.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>

#include "base/check.h"
#include "http/text.h"

namespace inferq::http {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

constexpr size_t kBodyReadMax = 64u << 10;
constexpr size_t kReserved = 16u << 10;   // of a body whose length is told: the rest must come
constexpr uint64_t kSkipped = 64u << 10;  // of a body that nobody reads, for the next request
constexpr size_t kSmallChunk = 4u << 10;  // copied, to be written at once

bool IsServers(std::string_view name) {
  constexpr std::array<std::string_view, 4> kNames{"content-length", "transfer-encoding",
                                                   "connection", "date"};
  return std::ranges::any_of(kNames,
                             [&](std::string_view own) { return SameIgnoringCase(name, own); });
}

Result<> CheckHeader(const Header& header) {
  if (!IsToken(header.name))
    return Fail(Code::kInvalidArgument, "'{}' is not a header name", header.name);
  if (IsServers(header.name))
    return Fail(Code::kInvalidArgument, "the header '{}' is the server's to set", header.name);
  if (!IsFieldValue(header.value)) {
    return Fail(Code::kInvalidArgument, "the value of header '{}' contains a control character",
                header.name);
  }
  return {};
}

Result<> AppendHeaders(std::string& head, const Headers& headers) {
  for (const Header& header : headers) {
    INFERQ_TRY(CheckHeader(header));
    head.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  return {};
}

bool StatusHasBody(int status) { return status != 204 && status != 304; }

// What the client is told about a body that could not be read; nullopt: nobody is there.
std::optional<int> StatusOf(const std::optional<Error>& error) {
  if (!error) return 500;
  switch (error->code()) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kDeadlineExceeded:
      return 408;
    case Code::kOutOfRange:
      return 413;
    case Code::kUnimplemented:
      return 415;
    case Code::kResourceExhausted:
      return 503;
    default:
      return std::nullopt;
  }
}

bool ExpectsContinue(const RequestHead& request) {
  return request.minor_version == 1 && FindHeader(request.headers, "expect").has_value();
}

}  // namespace

std::string AnswerHead(int status, std::string_view date) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status, std::string_view(reason), date);
}

ServerExchange::ServerExchange(Connection& connection, std::unique_ptr<RequestDecoder> decoder,
                               RequestHead request)
    : connection_(connection),
      decoder_(std::move(decoder)),
      request_(std::move(request)),
      gone_(std::make_shared<runtime::Cancellation>()),
      expects_continue_(ExpectsContinue(request_)),
      coding_(ContentCodingOf(request_.headers)),
      keep_alive_(decoder_->keep_alive()) {}

ServerExchange::~ServerExchange() { connection_.set().counters().body_memory -= body_memory_; }

runtime::Runtime& ServerExchange::runtime() { return connection_.set().runtime(); }

const std::shared_ptr<runtime::Cancellation>& ServerExchange::gone() const {
  watched_ = true;
  if (decoder_->done()) connection_.StartWatch();
  return gone_;
}

void ServerExchange::OnGone() { gone_->Cancel(); }

std::optional<uint64_t> ServerExchange::content_length() const {
  const bool told = coding_ == ContentCoding::kIdentity || decoder_->content_length() == 0;
  return told ? decoder_->content_length() : std::nullopt;
}

std::unexpected<Error> ServerExchange::BodyError(Error error) {
  body_error_ = error;
  return std::unexpected(std::move(error));
}

Result<> ServerExchange::TakeMemory(size_t size) {
  auto& memory = connection_.set().counters().body_memory;
  if (memory.fetch_add(size) + size > connection_.set().limits().body_memory) {
    memory -= size;
    return Fail(Code::kResourceExhausted,
                "the server's memory for requests is taken; try again in a second");
  }
  body_memory_ += size;
  return {};
}

Awaitable<Result<std::string>> ServerExchange::ReadBody(uint64_t limit) {
  const std::string too_long = fmt::format("the body is longer than {} bytes", limit);
  const uint64_t length = content_length().value_or(0);
  if (length > limit) co_return BodyError(Error(Code::kOutOfRange, too_long));
  std::string body;
  body.reserve(std::min<uint64_t>(length, kReserved));
  for (;;) {
    INFERQ_CO_ASSIGN(const std::string piece, co_await NextPiece());
    if (piece.empty()) co_return body;
    if (piece.size() > limit - body.size()) co_return BodyError(Error(Code::kOutOfRange, too_long));
    if (auto taken = TakeMemory(piece.size()); !taken) co_return BodyError(taken.error());
    body += piece;
  }
}

Awaitable<Result<std::string>> ServerExchange::NextPiece() {
  if (body_error_) co_return std::unexpected(*body_error_);
  auto piece = co_await ReadDecoded();
  if (!piece) co_return BodyError(piece.error());
  if (watched_ && decoder_->done()) connection_.StartWatch();
  co_return piece;
}

Awaitable<Result<std::string>> ServerExchange::ReadDecoded() {
  if (coding_ == ContentCoding::kIdentity) co_return co_await ReadPiece();
  if (!content_) INFERQ_CO_TRY(BeginDecoding());
  for (;;) {
    co_await runtime().Yield();  // other connections of this loop, before the next piece of work
    INFERQ_CO_ASSIGN(std::string piece, content_->Next());
    INFERQ_CO_TRY(CountDecoder());
    if (!piece.empty()) co_return piece;
    INFERQ_CO_ASSIGN(std::string encoded, co_await ReadPiece());
    if (encoded.empty()) {
      INFERQ_CO_TRY(content_->Finish());
      co_return std::string();
    }
    content_->Feed(std::move(encoded));
  }
}

Result<> ServerExchange::BeginDecoding() {
  if (!coding_) {
    AddHeader("Accept-Encoding", std::string(kContentCodings));
    return std::unexpected(coding_.error());
  }
  content_ = ContentDecoder::Make(*coding_, connection_.set().limits().body_ratio_max);
  return {};
}

// A window of zstd is as large as the body's head says.
Result<> ServerExchange::CountDecoder() {
  const uint64_t held = content_->memory();
  if (held <= content_memory_) return {};
  INFERQ_TRY(TakeMemory(held - content_memory_));
  content_memory_ = held;
  return {};
}

Awaitable<Result<std::string>> ServerExchange::ReadPiece() {
  INFERQ_CO_TRY(co_await SendContinue());
  for (;;) {
    INFERQ_CO_ASSIGN(const size_t used, decoder_->Feed(connection_.buffered()));
    connection_.Consume(used);
    std::string piece = decoder_->TakeBody();
    body_received_ += piece.size();
    if (!piece.empty() || decoder_->done()) co_return piece;
    const auto deadline = BodyDeadline();
    if (!deadline) co_return Fail(Code::kDeadlineExceeded, "the body comes too slowly");
    const SteadyTime begin = runtime().clock().Steady();
    auto got = co_await connection_.Fill(body_read_, *deadline);
    body_waited_ += runtime().clock().Steady() - begin;
    if (!got && got.error().code() == Code::kDeadlineExceeded)
      co_return Fail(Code::kDeadlineExceeded, "the body did not come in time");
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0)
      co_return Fail(Code::kUnavailable, "the client hung up in the middle of the body");
    // Room for what comes fast, none for what trickles.
    if (*got == body_read_) body_read_ = std::min(2 * body_read_, kBodyReadMax);
  }
}

// Until when the next byte must come; nullopt: the body is behind its pace already.
std::optional<SteadyTime> ServerExchange::BodyDeadline() const {
  const ServerLimits& limits = connection_.set().limits();
  base::Micros wait = limits.body_stall;
  if (limits.body_rate_min > 0) {
    const double earned =
        static_cast<double>(body_received_) * 1e6 / static_cast<double>(limits.body_rate_min);
    const base::Micros granted(static_cast<int64_t>(std::min(earned, 1e15)));
    wait = std::min(wait, limits.body_stall + granted - body_waited_);
  }
  if (wait <= base::Micros(0)) return std::nullopt;
  return connection_.set().runtime().clock().Steady() + wait;
}

Awaitable<Result<>> ServerExchange::SendContinue() {
  const bool wanted = std::exchange(expects_continue_, false);
  if (!wanted || began_ || decoder_->done() || !connection_.buffered().empty())
    co_return Result<>{};
  co_return co_await connection_.Write("HTTP/1.1 100 Continue\r\n\r\n", {});
}

void ServerExchange::AddHeader(std::string name, std::string value) {
  headers_.push_back({std::move(name), std::move(value)});
}

// Whether what is left of the body can be read and dropped, so that another request may follow.
bool ServerExchange::BodyCanBeSkipped() const {
  if (body_error_) return false;
  if (decoder_->done()) return true;
  return decoder_->content_length() && decoder_->remaining() <= kSkipped && !expects_continue_;
}

Result<std::string> ServerExchange::Head(int status, const Headers& headers,
                                         std::optional<uint64_t> length) {
  if (ended_) return Fail(Code::kUnavailable, "the answer was sent already, or given up");
  INFERQ_CHECK(!began_ && status >= 200 && status <= 599);
  const bool until_close = !length && request_.minor_version == 0;
  keep_alive_ = keep_alive_ && !until_close && !connection_.set().draining() && BodyCanBeSkipped();
  std::string head = AnswerHead(status, connection_.set().Date());
  INFERQ_TRY(AppendHeaders(head, headers_));
  INFERQ_TRY(AppendHeaders(head, headers));
  if (!keep_alive_) head += "Connection: close\r\n";
  if (keep_alive_ && request_.minor_version == 0) head += "Connection: keep-alive\r\n";
  if (length && status != 204) head += fmt::format("Content-Length: {}\r\n", *length);
  if (!length && !until_close && StatusHasBody(status)) head += "Transfer-Encoding: chunked\r\n";
  began_ = true;
  has_body_ = StatusHasBody(status) && request_.method != "HEAD";
  to_write_ = length;
  head += "\r\n";
  return head;
}

Awaitable<Result<>> ServerExchange::Send(int status, Headers headers, std::string body) {
  INFERQ_CO_ASSIGN(const std::string head, Head(status, headers, body.size()));
  ended_ = true;
  co_return co_await connection_.Write(head, has_body_ ? std::string_view(body) : "");
}

Awaitable<Result<>> ServerExchange::Begin(int status, Headers headers,
                                          std::optional<uint64_t> length) {
  INFERQ_CO_ASSIGN(const std::string head, Head(status, headers, length));
  co_return co_await connection_.Write(head, {});
}

Awaitable<Result<>> ServerExchange::Write(std::string_view piece) {
  INFERQ_CHECK(began_);
  if (ended_) co_return Fail(Code::kUnavailable, "the answer was given up");
  if (piece.empty()) co_return Result<>{};
  if (to_write_) {
    INFERQ_CHECK(piece.size() <= *to_write_);
    *to_write_ -= piece.size();
  }
  if (!has_body_) co_return Result<>{};
  if (to_write_ || request_.minor_version == 0) co_return co_await connection_.Write({}, piece);
  if (piece.size() <= kSmallChunk) {
    const std::string chunk = fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
    co_return co_await connection_.Write(chunk, {});
  }
  const std::string size = fmt::format("{:x}\r\n", piece.size());
  INFERQ_CO_TRY(co_await connection_.Write(size, piece));
  co_return co_await connection_.Write("\r\n", {});
}

Awaitable<Result<>> ServerExchange::End() {
  INFERQ_CHECK(began_);
  if (ended_) co_return Fail(Code::kUnavailable, "the answer was given up");
  if (has_body_ && to_write_.value_or(0) > 0) {
    const uint64_t missing = *to_write_;
    Abort();
    co_return Fail(Code::kInternal, "the answer lacks {} bytes of its told length", missing);
  }
  ended_ = true;
  if (!has_body_ || to_write_ || request_.minor_version == 0) co_return Result<>{};
  co_return co_await connection_.Write("0\r\n\r\n", {});
}

void ServerExchange::Abort() {
  began_ = ended_ = true;
  keep_alive_ = false;
  connection_.Reset();
}

Awaitable<void> ServerExchange::AnswerForHandler() {
  const auto status = StatusOf(body_error_);
  if (!status) {
    Abort();
    co_return;
  }
  ++connection_.set().counters().refused;
  const std::string message =
      body_error_ ? body_error_->message() : "the server failed to answer this request";
  Headers headers{{"Content-Type", "application/json"}};
  if (*status == 503) headers.push_back({"Retry-After", "1"});
  std::erase_if(headers_, [](const Header& header) { return !CheckHeader(header); });
  std::string body = connection_.set().handler().ErrorBody(*status, message);
  (void)co_await Send(*status, std::move(headers), std::move(body));
}

Awaitable<bool> ServerExchange::Finish() {
  if (!began_) co_await AnswerForHandler();
  if (!ended_) Abort();
  while (keep_alive_ && !decoder_->done()) {
    auto piece = co_await ReadPiece();
    if (!piece) co_return false;
  }
  co_return keep_alive_;
}

}  // namespace inferq::http
