#include "testing/sim_net.h"

#include <algorithm>

namespace inferq::testing {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using runtime::Awaitable;
using runtime::Stream;

/// One direction of a connection.
struct Pipe {
  Pipe(runtime::Runtime& runtime, size_t size) : window(size), changed(runtime) {}
  const size_t window;
  std::string bytes;  // sent and not read
  bool ended = false;
  bool reset = false;
  runtime::Event changed;
};

class SimStream final : public Stream {
 public:
  SimStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~SimStream() override { Close(); }

  Awaitable<Result<size_t>> Read(std::span<char> out) override {
    cancelled_ = false;
    while (!closed_ && !cancelled_ && in_->bytes.empty() && !in_->ended && !in_->reset)
      co_await in_->changed.Wait();
    if (closed_ || cancelled_) co_return Fail(Code::kCancelled, "the read was given up");
    if (in_->reset) co_return Fail(Code::kUnavailable, "reset by the peer");
    const size_t size = std::min(out.size(), in_->bytes.size());
    in_->bytes.copy(out.data(), size);
    in_->bytes.erase(0, size);
    in_->changed.NotifyAll();
    co_return size;
  }

  Awaitable<Result<>> Write(std::string_view first, std::string_view second) override {
    for (std::string_view part : {first, second}) {
      while (!part.empty()) {
        while (!Broken() && out_->bytes.size() >= out_->window) co_await out_->changed.Wait();
        if (closed_) co_return Fail(Code::kCancelled, "the write was given up");
        if (Broken()) co_return Fail(Code::kUnavailable, "the peer has closed");
        const size_t size = std::min(part.size(), out_->window - out_->bytes.size());
        out_->bytes += part.substr(0, size);
        part.remove_prefix(size);
        out_->changed.NotifyAll();
      }
    }
    co_return Result<>{};
  }

  void CancelRead() override {
    cancelled_ = true;
    in_->changed.NotifyAll();
  }

  void ShutdownSend() override {
    out_->ended = true;
    out_->changed.NotifyAll();
  }

  bool Reusable() override { return !closed_ && in_->bytes.empty() && !in_->ended && !Broken(); }

  // With bytes unread the peer sees a reset, as over TCP.
  void Close() override {
    if (std::exchange(closed_, true)) return;
    if (!in_->bytes.empty()) out_->reset = true;
    in_->reset = true;  // whoever writes to us
    ShutdownSend();
    in_->changed.NotifyAll();
  }

  void Reset() override {
    out_->reset = true;
    Close();
  }

 private:
  bool Broken() const { return closed_ || out_->reset || out_->ended; }

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  bool closed_ = false;
  bool cancelled_ = false;
};

}  // namespace

SimStreamPair MakeSimStreams(runtime::Runtime& runtime, size_t window) {
  auto there = std::make_shared<Pipe>(runtime, window);
  auto back = std::make_shared<Pipe>(runtime, window);
  return {std::make_unique<SimStream>(back, there), std::make_unique<SimStream>(there, back)};
}

std::unique_ptr<Stream> SimListener::Connect(size_t window) {
  SimStreamPair pair = MakeSimStreams(runtime_, window);
  waiting_.push_back(std::move(pair.b));
  changed_.NotifyAll();
  return std::move(pair.a);
}

Awaitable<Result<std::unique_ptr<Stream>>> SimListener::Accept(runtime::Runtime&) {
  while (!closed_ && !fail_ && waiting_.empty()) co_await changed_.Wait();
  if (closed_) co_return Fail(Code::kCancelled, "the listener was closed");
  if (std::exchange(fail_, false))
    co_return Fail(Code::kResourceExhausted, "no descriptors are left");
  auto stream = std::move(waiting_.front());
  waiting_.pop_front();
  co_return std::move(stream);
}

void SimListener::Close() {
  closed_ = true;
  changed_.NotifyAll();
}

}  // namespace inferq::testing
