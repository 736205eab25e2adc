#pragma once

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include "runtime/net.h"

namespace inferq::http::internal {

using TlsSocket = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

inline constexpr auto kNoThrow = boost::asio::as_tuple(boost::asio::use_awaitable);

inline base::Error SocketError(const boost::system::error_code& error) {
  if (error == boost::asio::error::operation_aborted)
    return base::Error(base::Code::kCancelled, "the connection was given up");
  if (error == boost::asio::ssl::error::stream_truncated) {
    return base::Error(base::Code::kUnavailable,
                       "the TLS connection was cut without a close notice");
  }
  return base::Error(base::Code::kUnavailable, error.message());
}

inline boost::asio::ip::tcp::socket& Lowest(boost::asio::ip::tcp::socket& socket) { return socket; }
inline boost::asio::ip::tcp::socket& Lowest(TlsSocket& stream) { return stream.next_layer(); }

/// One connection; `Layer` is the socket or TLS over it.
template <class Layer>
class SocketStream final : public runtime::Stream {
 public:
  template <class... Args>
  explicit SocketStream(Args&&... args) : layer_(std::forward<Args>(args)...) {}

  Layer& layer() { return layer_; }
  boost::asio::ip::tcp::socket& socket() { return Lowest(layer_); }
  const boost::asio::ip::tcp::socket& socket() const { return layer_; }

  runtime::Awaitable<base::Result<size_t>> Read(std::span<char> out) override {
    auto buffer = boost::asio::buffer(out.data(), out.size());
    auto token = boost::asio::bind_cancellation_slot(cancel_read_.slot(), kNoThrow);
    auto [error, size] = co_await layer_.async_read_some(buffer, token);
    if (closed_) co_return std::unexpected(SocketError(boost::asio::error::operation_aborted));
    if (error == boost::asio::error::eof) co_return size_t{0};
    if (error) co_return std::unexpected(SocketError(error));
    co_return size;
  }

  runtime::Awaitable<base::Result<>> Write(std::string_view first,
                                           std::string_view second) override {
    std::array<boost::asio::const_buffer, 2> buffers{boost::asio::buffer(first),
                                                     boost::asio::buffer(second)};
    auto [error, size] = co_await boost::asio::async_write(layer_, buffers, kNoThrow);
    if (closed_) co_return std::unexpected(SocketError(boost::asio::error::operation_aborted));
    if (error) co_return std::unexpected(SocketError(error));
    co_return base::Result<>{};
  }

  void CancelRead() override { cancel_read_.emit(boost::asio::cancellation_type::total); }

  void ShutdownSend() override {
    boost::system::error_code ignored;
    socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
  }

  bool Reusable() override {
    if (closed_ || !socket().is_open()) return false;
    char byte;
    ssize_t got = ::recv(socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  void Close() override {
    closed_ = true;
    boost::system::error_code ignored;
    socket().close(ignored);
  }

  void Reset() override {
    boost::system::error_code ignored;
    socket().set_option(boost::asio::socket_base::linger(true, 0), ignored);
    Close();
  }

 private:
  Layer layer_;
  boost::asio::cancellation_signal cancel_read_;
  bool closed_ = false;
};

using PlainStream = SocketStream<boost::asio::ip::tcp::socket>;
using TlsStream = SocketStream<TlsSocket>;

}  // namespace inferq::http::internal
