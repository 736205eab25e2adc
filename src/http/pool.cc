#include "http/pool.h"

#include "http/interrupt.h"

namespace inferq::http {

using base::Code;
using base::Fail;
using base::Result;
using base::SteadyTime;
using runtime::Awaitable;

/// The connections to one address.
class Pool::Origin {
 public:
  Origin(runtime::Runtime& runtime, PoolOptions options)
      : runtime_(runtime), options_(options), freed(runtime) {}

  /// The newest idle connection that still works, or null.
  std::unique_ptr<runtime::Stream> TakeIdle() {
    SteadyTime oldest = runtime_.clock().Steady() - options_.max_idle;
    while (!idle_.empty()) {
      Idle last = std::move(idle_.back());
      idle_.pop_back();
      if (last.since >= oldest && last.stream->Reusable()) return std::move(last.stream);
      CountClosed();
    }
    return nullptr;
  }
  void PutIdle(std::unique_ptr<runtime::Stream> stream) {
    idle_.push_back({std::move(stream), runtime_.clock().Steady()});
    freed.NotifyAll();
  }
  bool full() const { return open_ >= options_.max_per_origin; }
  bool has_idle() const { return !idle_.empty(); }
  void CountOpened() { ++open_; }
  void CountClosed() {
    --open_;
    freed.NotifyAll();
  }
  /// Makes room for a new connection.
  void CloseOneIdle() {
    idle_.erase(idle_.begin());
    CountClosed();
  }
  void CloseIdle() {
    while (has_idle()) CloseOneIdle();
  }

 private:
  struct Idle {
    std::unique_ptr<runtime::Stream> stream;
    SteadyTime since;
  };
  runtime::Runtime& runtime_;
  PoolOptions options_;
  std::vector<Idle> idle_;  // oldest first
  uint32_t open_ = 0;       // busy and idle

 public:
  runtime::Event freed;
};

Pool::Connection::Connection(std::shared_ptr<Origin> origin,
                             std::unique_ptr<runtime::Stream> stream, bool reused)
    : origin_(std::move(origin)), stream_(std::move(stream)), reused_(reused) {}

Pool::Connection::~Connection() {
  if (!stream_) return;
  stream_->Close();
  stream_.reset();
  origin_->CountClosed();
}

void Pool::Connection::GiveBack() { origin_->PutIdle(std::move(stream_)); }

Pool::Pool(runtime::Runtime& runtime, runtime::Dialer& dialer, PoolOptions options)
    : runtime_(runtime), dialer_(dialer), options_(options) {}

std::shared_ptr<Pool::Origin> Pool::OriginOf(const runtime::Address& address) {
  auto& origin = origins_[address];
  if (!origin) origin = std::make_shared<Origin>(runtime_, options_);
  return origin;
}

void Pool::CloseIdle() {
  for (auto& [address, origin] : origins_) origin->CloseIdle();
}

Awaitable<Result<std::unique_ptr<Pool::Connection>>> Pool::Get(Want want) {
  auto origin = OriginOf(want.address);
  Interrupt interrupt(runtime_, want.cancel, [o = origin.get()] { o->freed.NotifyAll(); });
  interrupt.Arm(want.deadline);
  for (;;) {
    if (interrupt.cause() == Interrupt::Cause::kCancelled) {
      co_return Fail(Code::kCancelled, "cancelled while waiting for a connection");
    }
    if (interrupt.cause() == Interrupt::Cause::kTime) {
      co_return Fail(Code::kDeadlineExceeded,
                     "the deadline passed while waiting for a connection to {}",
                     want.address.ToString());
    }
    if (!want.fresh) {
      if (auto stream = origin->TakeIdle()) {
        co_return std::make_unique<Connection>(origin, std::move(stream), true);
      }
    } else if (origin->full() && origin->has_idle()) {
      origin->CloseOneIdle();
    }
    if (!origin->full()) break;
    co_await origin->freed.Wait();
  }
  origin->CountOpened();
  SteadyTime connect_by = runtime_.clock().Steady() + want.connect_timeout;
  auto dialed =
      co_await dialer_.Dial(want.address, std::min(connect_by, want.deadline), want.cancel);
  if (dialed) co_return std::make_unique<Connection>(origin, *std::move(dialed), false);
  origin->CountClosed();
  if (dialed.error().code() == Code::kDeadlineExceeded && connect_by < want.deadline) {
    co_return Fail(Code::kUnavailable, "{}", dialed.error().message());
  }
  co_return std::unexpected(std::move(dialed).error());
}

}  // namespace inferq::http
