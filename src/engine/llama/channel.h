#pragma once

#include <variant>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "engine/llama/preparer.h"
#include "engine/llama/protocol.h"

namespace inferq::engine::llama {

/// The child's end of the connection: blocking frames over a socket. One reading thread, any
/// writing ones.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}

  /// Writes one frame. kUnavailable: the server is gone.
  base::Result<> Send(const Message& message);
  /// Waits for the next message. kUnavailable: the server is gone; kDataLoss: the stream is
  /// damaged.
  base::Result<Message> Receive();

 private:
  int fd_;
  base::Mutex sending_;
  FrameReader frames_;
};

/// What the step thread is to do next.
using Order = std::variant<Prepared, Cancel, Stop>;

/// Orders on their way to the step thread. Unbounded: the server limits how many requests it sends.
/// Any thread may call.
class Inbox {
 public:
  void Push(Order order);
  /// Everything that has come. With `wait`, sleeps until there is something.
  std::vector<Order> Take(bool wait);

 private:
  base::Mutex mu_;
  base::CondVar filled_;
  std::vector<Order> orders_ GUARDED_BY(mu_);
};

}  // namespace inferq::engine::llama
