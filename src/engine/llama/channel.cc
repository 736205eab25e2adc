#include "engine/llama/channel.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace inferq::engine::llama {

using base::Code;
using base::Fail;
using base::Result;

Result<> Channel::Send(const Message& message) {
  INFERQ_ASSIGN(const std::string frame, EncodeFrame(message));
  base::MutexLock lock(sending_);  // whole frames
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return std::unexpected(base::ErrnoError(errno, "send to the server"));
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

Result<Message> Channel::Receive() {
  std::array<char, size_t{64} * 1024> buffer;
  for (;;) {
    INFERQ_ASSIGN(const auto payload, frames_.Next());
    if (payload) return DecodePayload(*payload);
    const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(base::ErrnoError(errno, "receive from the server"));
    if (size == 0) return Fail(Code::kUnavailable, "the server closed the connection");
    frames_.Append({buffer.data(), static_cast<size_t>(size)});
  }
}

void Inbox::Push(Order order) {
  {
    base::MutexLock lock(mu_);
    orders_.push_back(std::move(order));
  }
  filled_.NotifyOne();
}

std::vector<Order> Inbox::Take(bool wait) {
  base::MutexLock lock(mu_);
  while (wait && orders_.empty()) filled_.Wait(mu_);
  return std::exchange(orders_, {});
}

}  // namespace inferq::engine::llama
