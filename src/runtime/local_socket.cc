#include "runtime/local_socket.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>

namespace inferq::runtime {
namespace {

namespace asio = boost::asio;
using base::Code;
using base::Fail;
using base::Result;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

std::unexpected<base::Error> Failed(const boost::system::error_code& error) {
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
    return Fail(Code::kCancelled, "the local socket was closed");
  }
  return Fail(Code::kUnavailable, "local socket: {}", error.message());
}

class LocalSocket final : public Stream {
 public:
  LocalSocket(Runtime& runtime, int fd)
      : socket_(runtime.executor(), asio::local::stream_protocol(), fd) {}

  Awaitable<Result<size_t>> Read(std::span<char> out) override {
    auto buffer = asio::buffer(out.data(), out.size());
    auto token = asio::bind_cancellation_slot(cancel_read_.slot(), kAwait);
    auto [error, n] = co_await socket_.async_read_some(buffer, token);
    if (error == asio::error::eof) co_return size_t{0};
    if (error) co_return Failed(error);
    co_return n;
  }

  Awaitable<Result<>> Write(std::string_view first, std::string_view second) override {
    const std::array buffers{asio::buffer(first.data(), first.size()),
                             asio::buffer(second.data(), second.size())};
    auto [error, n] = co_await asio::async_write(socket_, buffers, kAwait);
    if (error) co_return Failed(error);
    co_return Result<>();
  }

  void CancelRead() override { cancel_read_.emit(asio::cancellation_type::total); }

  void ShutdownSend() override {
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  }

  bool Reusable() override { return socket_.is_open(); }

  void Close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  // A Unix socket knows no reset; whoever reads the other end knows where a message ends.
  void Reset() override { Close(); }

 private:
  asio::cancellation_signal cancel_read_;
  asio::local::stream_protocol::socket socket_;
};

}  // namespace

Result<LocalSocketPair> MakeLocalSocketPair(Runtime& runtime) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return std::unexpected(base::ErrnoError(errno, "socketpair"));
  }
  LocalSocketPair pair{.ours = nullptr, .theirs = Fd(fds[1])};
  pair.ours = std::make_unique<LocalSocket>(runtime, fds[0]);
  return pair;
}

}  // namespace inferq::runtime
