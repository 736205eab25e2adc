#include "http/asio_dialer.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <vector>

#include "http/interrupt.h"
#include "http/socket_stream.h"
#include "runtime/event.h"

namespace inferq::http {
namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using base::Code;
using base::Error;
using base::Fail;
using base::Result;
using base::SteadyTime;
using boost::system::error_code;
using internal::kNoThrow;
using internal::PlainStream;
using internal::SocketStream;
using internal::TlsSocket;
using internal::TlsStream;
using runtime::Address;
using runtime::Awaitable;
using runtime::Cancellation;
using runtime::Runtime;
using runtime::Stream;

/// What ended a dial early, as an error; nullopt when nothing did.
std::optional<Error> Interrupted(const Interrupt& interrupt, const Address& address,
                                 std::string_view doing) {
  switch (interrupt.cause()) {
    case Interrupt::Cause::kNone:
      return std::nullopt;
    case Interrupt::Cause::kCancelled:
      return Error(Code::kCancelled, "cancelled while connecting");
    case Interrupt::Cause::kTime:
      break;
  }
  return Error(
      Code::kDeadlineExceeded,
      fmt::format("{} {} took too long; check the address and the network between here and there",
                  doing, address.ToString()));
}

/// A name look-up. It runs on a thread of Asio's and cannot be stopped, so whoever waits may go
/// away first.
struct Lookup {
  explicit Lookup(Runtime& runtime) : resolver(runtime.executor()), ended(runtime) {}
  tcp::resolver resolver;
  runtime::Event ended;
  bool done = false;
  error_code error;
  tcp::resolver::results_type results;
};

class AsioDialer final : public runtime::Dialer {
 public:
  AsioDialer(Runtime& runtime, Egress egress) : runtime_(runtime), egress_(egress) {}

  Result<> UseTls(const TlsOptions& options);
  Awaitable<Result<std::unique_ptr<Stream>>> Dial(Address address, SteadyTime deadline,
                                                  std::shared_ptr<Cancellation> cancel) override;

 private:
  Awaitable<Result<tcp::resolver::results_type>> Resolve(Address address, SteadyTime deadline,
                                                         std::shared_ptr<Cancellation> cancel);
  Result<std::vector<tcp::endpoint>> Allowed(const tcp::resolver::results_type& found,
                                             const Address& address) const;
  template <class Layer>
  Awaitable<Result<std::unique_ptr<Stream>>> Open(std::unique_ptr<SocketStream<Layer>> stream,
                                                  Address address, SteadyTime deadline,
                                                  std::shared_ptr<Cancellation> cancel);
  Awaitable<Result<>> Shake(PlainStream&, Address) { co_return Result<>{}; }
  Awaitable<Result<>> Shake(TlsStream& stream, Address address);

  Runtime& runtime_;
  const Egress egress_;
  ssl::context tls_{ssl::context::tls_client};
};

Result<> AsioDialer::UseTls(const TlsOptions& options) {
  error_code error;
  tls_.set_verify_mode(ssl::verify_peer, error);
  SSL_CTX_set_min_proto_version(tls_.native_handle(), TLS1_2_VERSION);
  if (options.ca_file.empty()) {
    tls_.set_default_verify_paths(error);
    if (error) return Fail(Code::kUnavailable, "the system's certificates: {}", error.message());
    return {};
  }
  tls_.load_verify_file(options.ca_file, error);
  if (error) {
    return Fail(Code::kInvalidArgument,
                "the CA file '{}' is not a readable PEM file of certificates ({})", options.ca_file,
                error.message());
  }
  return {};
}

Awaitable<Result<tcp::resolver::results_type>> AsioDialer::Resolve(
    Address address, SteadyTime deadline, std::shared_ptr<Cancellation> cancel) {
  error_code not_literal;
  auto ip = asio::ip::make_address(address.host, not_literal);
  if (!not_literal) {
    tcp::endpoint endpoint(ip, address.port);
    co_return tcp::resolver::results_type::create(endpoint, address.host,
                                                  std::to_string(address.port));
  }
  auto lookup = std::make_shared<Lookup>(runtime_);
  lookup->resolver.async_resolve(
      address.host, std::to_string(address.port), tcp::resolver::numeric_service,
      [lookup](const error_code& error, tcp::resolver::results_type results) {
        lookup->done = true;
        lookup->error = error;
        lookup->results = std::move(results);
        lookup->ended.NotifyAll();
      });
  Interrupt interrupt(runtime_, std::move(cancel), [lookup] { lookup->ended.NotifyAll(); });
  interrupt.Arm(deadline);
  while (!lookup->done && interrupt.cause() == Interrupt::Cause::kNone)
    co_await lookup->ended.Wait();
  if (auto error = Interrupted(interrupt, address, "looking up")) co_return std::unexpected(*error);
  if (lookup->error) {
    co_return Fail(Code::kUnavailable,
                   "cannot find the host '{}' ({}); check the name in the address", address.host,
                   lookup->error.message());
  }
  co_return std::move(lookup->results);
}

bool IsPublic(const asio::ip::address& ip) {
  return ip.is_v4() ? http::IsPublic(ip.to_v4().to_bytes()) : http::IsPublic(ip.to_v6().to_bytes());
}

Result<std::vector<tcp::endpoint>> AsioDialer::Allowed(const tcp::resolver::results_type& found,
                                                       const Address& address) const {
  std::vector<tcp::endpoint> allowed;
  for (const auto& entry : found) {
    if (egress_ == Egress::kAny || IsPublic(entry.endpoint().address()))
      allowed.push_back(entry.endpoint());
  }
  if (!allowed.empty()) return allowed;
  return Fail(Code::kPermissionDenied,
              "the host '{}' has the address {}, which is not one of the public internet",
              address.host, found.empty() ? "" : found.begin()->endpoint().address().to_string());
}

// OpenSSL's reason as a sentence for whoever runs the client.
std::string TlsFailure(SSL* ssl, const Address& address, const error_code& error) {
  long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) {
    return fmt::format(
        "the certificate of {} is not trusted: {}; check the host name in the address, or name the "
        "certificate of its issuer as CA file",
        address.ToString(), X509_verify_cert_error_string(verdict));
  }
  return fmt::format("no TLS connection to {}: {}; check that the server speaks https on this port",
                     address.ToString(), error.message());
}

Awaitable<Result<>> AsioDialer::Shake(TlsStream& stream, Address address) {
  TlsSocket& tls = stream.layer();
  error_code error;
  asio::ip::make_address(address.host, error);
  if (error) SSL_set_tlsext_host_name(tls.native_handle(), address.host.c_str());  // names only
  tls.set_verify_callback(ssl::host_name_verification(address.host), error);
  auto [failed] = co_await tls.async_handshake(ssl::stream_base::client, kNoThrow);
  if (failed)
    co_return Fail(Code::kUnavailable, "{}", TlsFailure(tls.native_handle(), address, failed));
  co_return Result<>{};
}

template <class Layer>
Awaitable<Result<std::unique_ptr<Stream>>> AsioDialer::Open(
    std::unique_ptr<SocketStream<Layer>> stream, Address address, SteadyTime deadline,
    std::shared_ptr<Cancellation> cancel) {
  INFERQ_CO_ASSIGN(auto found, co_await Resolve(address, deadline, cancel));
  INFERQ_CO_ASSIGN(auto endpoints, Allowed(found, address));
  Interrupt interrupt(runtime_, std::move(cancel), [s = stream.get()] { s->Close(); });
  interrupt.Arm(deadline);
  if (auto error = Interrupted(interrupt, address, "connecting to"))
    co_return std::unexpected(*error);
  auto [failed, endpoint] = co_await asio::async_connect(stream->socket(), endpoints, kNoThrow);
  if (auto error = Interrupted(interrupt, address, "connecting to"))
    co_return std::unexpected(*error);
  if (failed) {
    co_return Fail(Code::kUnavailable,
                   "cannot connect to {} ({}); check that the server runs and listens there",
                   address.ToString(), failed.message());
  }
  error_code ignored;
  stream->socket().set_option(tcp::no_delay(true), ignored);
  auto shaken = co_await Shake(*stream, address);
  if (auto error = Interrupted(interrupt, address, "the TLS handshake with")) {
    co_return std::unexpected(*error);
  }
  if (!shaken) co_return std::unexpected(shaken.error());
  co_return std::move(stream);
}

Awaitable<Result<std::unique_ptr<Stream>>> AsioDialer::Dial(Address address, SteadyTime deadline,
                                                            std::shared_ptr<Cancellation> cancel) {
  auto executor = runtime_.executor();
  if (address.tls) {
    auto stream = std::make_unique<TlsStream>(executor, tls_);
    co_return co_await Open(std::move(stream), address, deadline, cancel);
  }
  auto stream = std::make_unique<PlainStream>(executor);
  co_return co_await Open(std::move(stream), address, deadline, cancel);
}

}  // namespace

Result<std::unique_ptr<runtime::Dialer>> MakeAsioDialer(Runtime& runtime, TlsOptions options,
                                                        Egress egress) {
  auto dialer = std::make_unique<AsioDialer>(runtime, egress);
  INFERQ_TRY(dialer->UseTls(options));
  return dialer;
}

}  // namespace inferq::http
