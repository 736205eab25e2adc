#pragma once

#include <deque>
#include <memory>
#include <string>

#include "runtime/event.h"
#include "runtime/net.h"

namespace inferq::testing {

struct SimStreamPair {
  std::unique_ptr<runtime::Stream> a;
  std::unique_ptr<runtime::Stream> b;
};

/// Two ends of a connection in memory, both on the strand of `runtime`.
/// @param window  bytes that one end takes before the other has read them; Write waits for more.
SimStreamPair MakeSimStreams(runtime::Runtime& runtime, size_t window = 64u << 10);

/// A listener whose clients are made by Connect. On the strand of `runtime`, which outlives it.
class SimListener final : public runtime::Listener {
 public:
  explicit SimListener(runtime::Runtime& runtime) : runtime_(runtime), changed_(runtime) {}

  /// The client's end of a new connection.
  std::unique_ptr<runtime::Stream> Connect(size_t window = 64u << 10);
  /// The next Accept fails with kResourceExhausted, once.
  void FailOnce() { fail_ = true; }

  runtime::Awaitable<base::Result<std::unique_ptr<runtime::Stream>>> Accept(
      runtime::Runtime& home) override;
  uint16_t port() const override { return 80; }
  std::string PeerOf(const runtime::Stream&) const override { return "192.0.2.1:1234"; }
  void Close() override;

 private:
  runtime::Runtime& runtime_;
  runtime::Event changed_;
  std::deque<std::unique_ptr<runtime::Stream>> waiting_;
  bool fail_ = false;
  bool closed_ = false;
};

}  // namespace inferq::testing
