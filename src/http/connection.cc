#include "http/connection.h"

#include <fmt/chrono.h>

#include <array>

#include "http/server_exchange.h"

namespace inferq::http {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Fail;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

constexpr size_t kIdleRead = 2u << 10;  // the memory of a connection that waits
constexpr size_t kHeadRead = 8u << 10;
constexpr size_t kWritePiece = 64u << 10;
// What is read and dropped after the last answer: a close with bytes unread resets the connection,
// which can take the answer away from the client.
constexpr size_t kLingerBytes = 1u << 20;
constexpr base::Micros kLingerTime = 1s;

constexpr int kNobody = 0;  // a refusal that nobody is there to read

std::unexpected<Refusal> Over() { return std::unexpected(Refusal{kNobody, {}}); }

}  // namespace

ConnectionSet::ConnectionSet(runtime::Runtime& runtime, Handler& handler,
                             const ServerLimits& limits, ServerCounters& counters)
    : runtime_(runtime),
      handler_(handler),
      limits_(limits),
      counters_(counters),
      ended_(runtime),
      scope_(runtime) {}

void ConnectionSet::Start(std::unique_ptr<runtime::Stream> stream, std::string peer) {
  auto connection = std::make_unique<Connection>(*this, std::move(stream), std::move(peer));
  scope_.Spawn(Run(std::move(connection), What::kServe));
}

void ConnectionSet::Refuse(std::unique_ptr<runtime::Stream> stream) {
  auto connection = std::make_unique<Connection>(*this, std::move(stream), std::string());
  scope_.Spawn(Run(std::move(connection), What::kRefuse));
}

Awaitable<void> ConnectionSet::Run(std::unique_ptr<Connection> connection, What what) {
  auto place = connections_.insert(connections_.end(), connection.get());
  if (what == What::kServe) {
    co_await connection->Serve();
  } else {
    co_await connection->RefuseForNumber();
  }
  connections_.erase(place);
  connection.reset();
  --counters_.open;
  ended_.NotifyAll();
}

Awaitable<bool> ConnectionSet::Drain(SteadyTime deadline) {
  draining_ = true;
  for (Connection* connection : connections_) connection->Drain();
  while (scope_.active() > 0 && co_await ended_.WaitUntil(deadline)) {
  }
  for (Connection* connection : connections_) connection->Cut();
  co_await scope_.Join();
  co_return true;
}

std::string_view ConnectionSet::Date() {
  const auto second = std::chrono::floor<std::chrono::seconds>(runtime_.clock().Wall());
  const std::time_t now = second.time_since_epoch().count();
  if (std::exchange(date_second_, now) != now)
    date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  return date_;
}

Connection::Connection(ConnectionSet& set, std::unique_ptr<runtime::Stream> stream,
                       std::string peer)
    : set_(set), stream_(std::move(stream)), peer_(std::move(peer)), watch_ended_(set.runtime()) {}

Connection::~Connection() {
  if (timer_ != 0) set_.runtime().CancelTimer(timer_);
}

Awaitable<void> Connection::Serve() {
  while (next_ == Next::kRequest) co_await ServeOne();
  co_await Close();
}

Awaitable<void> Connection::RefuseForNumber() {
  Refusal refusal{503, "the server has as many connections as it may; try again in a second"};
  co_await Answer(std::move(refusal), "Retry-After: 1\r\n");
  co_await Close();
}

void Connection::Drain() {
  if (exchange_ == nullptr && next_ == Next::kRequest) stream_->CancelRead();
}

void Connection::Cut() {
  if (exchange_ != nullptr) ++set_.counters().cut;
  Reset();
  OnHangup();
}

void Connection::Reset() {
  next_ = Next::kClose;
  stream_->Reset();
}

Awaitable<void> Connection::Close() {
  if (next_ == Next::kLinger) co_await Linger();
  stream_->Close();
  while (watching_) co_await watch_ended_.Wait();
}

Awaitable<void> Connection::Linger() {
  stream_->ShutdownSend();
  const SteadyTime deadline = After(kLingerTime);
  for (size_t dropped = 0; dropped < kLingerBytes;) {
    buffer_.clear();
    auto got = co_await Fill(kHeadRead, deadline);
    if (!got || *got == 0) break;
    dropped += *got;
  }
}

Awaitable<void> Connection::ServeOne() {
  auto size = co_await ReadHead();
  if (!size) {
    co_await Answer(std::move(size).error(), {});
    co_return;
  }
  const std::string_view head = buffered().substr(0, *size);
  if (auto good = CheckRequestHead(head, set_.limits().max_headers); !good) {
    co_await Answer(std::move(good).error(), {});
    co_return;
  }
  auto decoder = RequestDecoder::Make(head);
  if (!decoder) {
    Refusal refusal{400, decoder.error().message()};
    co_await Answer(std::move(refusal), {});
    co_return;
  }
  const std::string_view target = (*decoder)->target();
  auto path = DecodePath(target.substr(0, target.find('?')));
  if (!path) {
    Refusal refusal{400, "the path of the request is not properly escaped UTF-8"};
    co_await Answer(std::move(refusal), {});
    co_return;
  }
  const size_t question = std::min(target.find('?'), target.size() - 1);
  RequestHead request{.method = (*decoder)->method(),
                      .target = std::string(target),
                      .path = *std::move(path),
                      .query = std::string(target.substr(question + 1)),
                      .minor_version = (*decoder)->minor_version(),
                      .headers = std::move((*decoder)->headers()),
                      .peer = peer_};
  Consume(*size);
  ++set_.counters().requests;
  ServerExchange exchange(*this, *std::move(decoder), std::move(request));
  co_await Handle(exchange);
}

Awaitable<void> Connection::Handle(ServerExchange& exchange) {
  exchange_ = &exchange;
  if (hung_up_) exchange.OnGone();
  co_await set_.handler().Handle(exchange);
  const bool keep_alive = co_await exchange.Finish();
  exchange_ = nullptr;
  if (next_ == Next::kRequest && (!keep_alive || set_.draining())) next_ = Next::kLinger;
}

Awaitable<std::expected<size_t, Refusal>> Connection::ReadHead() {
  if (buffer_.size() == 0 && buffer_.capacity() > kIdleRead) buffer_ = {};
  SteadyTime deadline = SteadyTime::max();
  bool skipped = false;
  for (size_t at = 0;;) {
    if (!skipped && buffered().starts_with("\r\n")) {  // an empty line before a request is allowed
      skipped = true;
      Consume(2);
      at = 0;
    }
    const HeadScan scan = ScanHead(buffered(), at);
    at = scan.size;
    if (scan.end == HeadEnd::kMalformed) {
      co_return std::unexpected(
          Refusal{400, "the head of the request contains a bare CR or LF, or a control character"});
    }
    if (at > set_.limits().max_head_bytes) {
      co_return std::unexpected(
          Refusal{431, fmt::format("the head of the request is longer than {} bytes",
                                   set_.limits().max_head_bytes)});
    }
    if (scan.end == HeadEnd::kFound) co_return at;
    auto more = co_await ReadMoreOfHead(deadline);
    if (!more) co_return more;
  }
}

/// @param deadline  of the head, set by its first byte; max() before that.
Awaitable<std::expected<size_t, Refusal>> Connection::ReadMoreOfHead(SteadyTime& deadline) {
  const bool idle = buffer_.size() == 0;
  if (set_.draining()) co_return Over();
  if (!idle && deadline == SteadyTime::max()) deadline = After(set_.limits().head_timeout);
  const SteadyTime until = idle ? After(set_.limits().idle_timeout) : deadline;
  auto got = co_await Fill(idle ? kIdleRead : kHeadRead, until);
  if (got && *got > 0) co_return *got;
  if (!got && got.error().code() == Code::kDeadlineExceeded && !idle)
    co_return std::unexpected(Refusal{408, "the head of the request did not come in time"});
  co_return Over();
}

Awaitable<void> Connection::Answer(Refusal refusal, std::string_view more_headers) {
  next_ = Next::kClose;
  if (refusal.status == kNobody) co_return;
  ++set_.counters().refused;
  const std::string body = set_.handler().ErrorBody(refusal.status, refusal.message);
  const std::string head = fmt::format(
      "{}Connection: close\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
      AnswerHead(refusal.status, set_.Date()), more_headers, body.size());
  if (co_await Write(head, body)) next_ = Next::kLinger;
}

std::string_view Connection::buffered() const {
  auto bytes = buffer_.cdata();
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

Awaitable<Result<size_t>> Connection::Fill(size_t room, SteadyTime deadline) {
  Arm(deadline, Timed::kRead);
  auto got = co_await ReadOrJoinWatch(room);
  Arm(SteadyTime::max(), Timed::kRead);
  if (got) co_return *got;
  if (expired_) co_return Fail(Code::kDeadlineExceeded, "the client sent nothing in time");
  co_return Fail(Code::kUnavailable, "the client is gone: {}", got.error().message());
}

Awaitable<Result<size_t>> Connection::ReadOrJoinWatch(size_t room) {
  if (watching_) {
    const size_t before = buffer_.size();
    watch_wanted_ = false;
    while (watching_) co_await watch_ended_.Wait();
    if (buffer_.size() > before) co_return buffer_.size() - before;
    if (!hung_up_) co_return Fail(Code::kCancelled, "reading was given up");
  }
  if (hung_up_) co_return size_t{0};
  auto out = buffer_.prepare(room);
  const std::span<char> span(static_cast<char*>(out.data()), out.size());
  auto got = co_await stream_->Read(span);
  if (got) buffer_.commit(*got);
  if (got && *got == 0) hung_up_ = true;
  co_return got;
}

void Connection::StartWatch() {
  if (hung_up_ || next_ == Next::kClose) return;
  watch_wanted_ = true;
  if (std::exchange(watching_, true)) return;
  set_.scope().Spawn(Watch());
}

Awaitable<void> Connection::Watch() {
  std::array<char, 512> bytes;
  while (watch_wanted_ && buffer_.size() < set_.limits().max_head_bytes) {
    auto got = co_await stream_->Read(bytes);
    const bool given_up = !got && got.error().code() == Code::kCancelled;
    if (!given_up && (!got || *got == 0)) OnHangup();
    if (!got || *got == 0) break;
    auto out = buffer_.prepare(*got);
    std::copy_n(bytes.data(), *got, static_cast<char*>(out.data()));
    buffer_.commit(*got);
  }
  watching_ = false;
  watch_ended_.NotifyAll();
}

void Connection::OnHangup() {
  hung_up_ = true;
  if (exchange_ != nullptr) exchange_->OnGone();
}

Awaitable<Result<>> Connection::Write(std::string_view first, std::string_view second) {
  do {
    const std::string_view piece = second.substr(0, kWritePiece);
    Arm(After(set_.limits().write_stall), Timed::kWrite);
    auto written = co_await stream_->Write(first, piece);
    Arm(SteadyTime::max(), Timed::kWrite);
    if (!written) {
      next_ = Next::kClose;
      co_return Fail(Code::kUnavailable, "the client did not take the answer: {}",
                     expired_ ? "too slow" : written.error().message());
    }
    first = {};
    second.remove_prefix(piece.size());
  } while (!second.empty());
  co_return Result<>{};
}

SteadyTime Connection::After(base::Micros duration) const {
  return set_.runtime().clock().Steady() + duration;
}

void Connection::Arm(SteadyTime when, Timed timed) {
  deadline_ = when;
  timed_ = timed;
  if (when == SteadyTime::max()) return;  // what ended the wait is looked at behind this
  expired_ = false;
  if (timer_ != 0 && timer_at_ <= when) return;  // looks again when it fires
  if (timer_ != 0) set_.runtime().CancelTimer(timer_);
  timer_at_ = when;
  timer_ = set_.runtime().CallAt(when, [this] { OnTimer(); });
}

void Connection::OnTimer() {
  timer_ = 0;
  if (deadline_ == SteadyTime::max()) return;
  if (set_.runtime().clock().Steady() < deadline_) {
    Arm(deadline_, timed_);
    return;
  }
  expired_ = true;
  if (timed_ == Timed::kRead) {
    stream_->CancelRead();
  } else {
    ++set_.counters().cut;
    Reset();
  }
}

}  // namespace inferq::http
