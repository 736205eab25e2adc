#pragma once

#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "engine/llama/protocol.h"

namespace inferq::engine::llama {

/// The child's end of the connection: blocking frames over a socket. One reading thread, one
/// writing thread.
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
  FrameReader frames_;
};

/// Messages on their way from the reading thread to the step thread. Unbounded: the server limits
/// how many requests it sends. Any thread may call.
class Inbox {
 public:
  void Push(Message message);
  /// Everything that has come. With `wait`, sleeps until there is something.
  std::vector<Message> Take(bool wait);

 private:
  base::Mutex mu_;
  base::CondVar filled_;
  std::vector<Message> messages_ GUARDED_BY(mu_);
};

}  // namespace inferq::engine::llama
