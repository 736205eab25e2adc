#include "http/asio_listener.h"

#include <boost/asio/ip/tcp.hpp>

#include "http/socket_stream.h"

namespace inferq::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Code;
using base::Fail;
using base::Result;
using boost::system::error_code;
using internal::kNoThrow;
using internal::PlainStream;
using runtime::Awaitable;
using runtime::Stream;

class AsioListener final : public runtime::Listener {
 public:
  explicit AsioListener(runtime::Runtime& home) : acceptor_(home.executor()) {}

  Result<> Open(const ListenOptions& options);
  Awaitable<Result<std::unique_ptr<Stream>>> Accept(runtime::Runtime& home) override;
  uint16_t port() const override { return port_; }
  std::string PeerOf(const Stream& stream) const override;
  void Close() override {
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  tcp::acceptor acceptor_;
  uint16_t port_ = 0;
};

std::unexpected<base::Error> CannotListen(const ListenOptions& options, const error_code& error) {
  const std::string where = runtime::Address{options.host, options.port}.ToString();
  if (error == asio::error::address_in_use) {
    return Fail(Code::kFailedPrecondition,
                "cannot listen on {}: another program does; stop that one or choose another port",
                where);
  }
  if (error == asio::error::access_denied) {
    return Fail(Code::kPermissionDenied,
                "cannot listen on {}: not allowed; ports below 1024 need a privilege", where);
  }
  if (error == boost::system::errc::address_not_available) {
    return Fail(Code::kInvalidArgument,
                "cannot listen on {}: this machine has no such address; 127.0.0.1 is for programs "
                "on it, 0.0.0.0 for everyone",
                where);
  }
  return Fail(Code::kUnavailable, "cannot listen on {}: {}", where, error.message());
}

Result<> AsioListener::Open(const ListenOptions& options) {
  error_code error;
  const auto ip = asio::ip::make_address(options.host, error);
  if (error) {
    return Fail(Code::kInvalidArgument,
                "'{}' is not an IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::1",
                options.host);
  }
  const tcp::endpoint endpoint(ip, options.port);
  acceptor_.open(endpoint.protocol(), error);
  if (error) return CannotListen(options, error);
  acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  acceptor_.bind(endpoint, error);
  if (error) return CannotListen(options, error);
  acceptor_.listen(options.backlog, error);
  if (error) return CannotListen(options, error);
  port_ = acceptor_.local_endpoint(error).port();
  return {};
}

bool IsOutOfResources(const error_code& error) {
  using namespace boost::system::errc;
  return error == too_many_files_open || error == too_many_files_open_in_system ||
         error == no_buffer_space || error == not_enough_memory;
}

Awaitable<Result<std::unique_ptr<Stream>>> AsioListener::Accept(runtime::Runtime& home) {
  auto executor = home.executor();
  auto [error, socket] = co_await acceptor_.async_accept(executor, kNoThrow);
  if (error == asio::error::operation_aborted || !acceptor_.is_open())
    co_return Fail(Code::kCancelled, "the listener was closed");
  if (IsOutOfResources(error))
    co_return Fail(Code::kResourceExhausted, "cannot accept a connection: {}", error.message());
  if (error) co_return Fail(Code::kUnavailable, "cannot accept a connection: {}", error.message());
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::unique_ptr<Stream> stream = std::make_unique<PlainStream>(std::move(socket));
  co_return std::move(stream);
}

std::string AsioListener::PeerOf(const Stream& stream) const {
  auto* plain = dynamic_cast<const PlainStream*>(&stream);
  if (plain == nullptr) return "unknown";
  error_code error;
  const tcp::endpoint peer = plain->socket().remote_endpoint(error);
  if (error) return "gone";
  return runtime::Address{peer.address().to_string(), peer.port()}.ToString();
}

}  // namespace

Result<std::unique_ptr<runtime::Listener>> ListenTcp(runtime::Runtime& home,
                                                     const ListenOptions& options) {
  auto listener = std::make_unique<AsioListener>(home);
  INFERQ_TRY(listener->Open(options));
  return listener;
}

}  // namespace inferq::http
