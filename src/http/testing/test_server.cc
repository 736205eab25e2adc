#include "http/testing/test_server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <set>

#include "base/check.h"
#include "runtime/event.h"

namespace inferq::http::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using runtime::Awaitable;
using TlsSocket = asio::ssl::stream<tcp::socket>;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

tcp::socket& Lowest(tcp::socket& socket) { return socket; }
tcp::socket& Lowest(TlsSocket& stream) { return stream.next_layer(); }

template <class T>
std::string ToPem(int (*write)(BIO*, const T*), const T* value) {
  BIO* bio = BIO_new(BIO_s_mem());
  INFERQ_CHECK(write(bio, value) == 1);
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

int WriteKey(BIO* bio, const EVP_PKEY* key) {
  return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
}
int WriteCertificate(BIO* bio, const X509* certificate) {
  return PEM_write_bio_X509(bio, certificate);
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  INFERQ_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestCertificate MakeTestCertificate(const std::string& names) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  const unsigned char common[] = "inferq test";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_subject_alt_name, names.c_str());
  INFERQ_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  TestCertificate out{ToPem(WriteCertificate, certificate), ToPem(WriteKey, key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

Reply Answer(int status, std::string_view body, std::string_view more_headers) {
  std::string bytes = fmt::format(
      "HTTP/1.1 {} Reason\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}",
      status, more_headers, body.size(), body);
  return Reply{.parts = {{.bytes = std::move(bytes)}}};
}

Reply ChunkedAnswer(std::string_view body, size_t chunk, std::string_view more_headers) {
  std::string bytes =
      fmt::format("HTTP/1.1 200 OK\r\n{}Transfer-Encoding: chunked\r\n\r\n", more_headers);
  for (; !body.empty(); body.remove_prefix(std::min(chunk, body.size()))) {
    std::string_view piece = body.substr(0, chunk);
    bytes += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
  }
  return Reply{.parts = {{.bytes = bytes + "0\r\n\r\n"}}};
}

Reply Hangup() { return Reply{.parts = {}, .then = Reply::Then::kClose}; }

Reply Held(Reply reply) {
  if (reply.parts.empty()) reply.parts.emplace_back();
  reply.parts.front().held = true;
  return reply;
}

struct TestServer::Impl {
  Impl(runtime::AsioRuntime& rt, Handler h)
      : runtime(rt), handler(std::move(h)), acceptor(rt.io_context()), scope(rt), changed(rt) {}

  void Listen();
  void UseTls(const TestCertificate& certificate);
  Awaitable<void> Accept();
  Awaitable<void> ServePlain(tcp::socket socket);
  Awaitable<void> ServeTls(tcp::socket socket);
  template <class Layer>
  Awaitable<void> Serve(Layer& layer);
  template <class Layer>
  Awaitable<bool> Send(Layer& layer, Reply reply);
  Awaitable<bool> Hold(tcp::socket& socket);
  void CloseAll();

  runtime::AsioRuntime& runtime;
  Handler handler;
  tcp::acceptor acceptor;
  std::optional<asio::ssl::context> tls;
  runtime::Scope scope;
  runtime::Event changed;
  bool always_release = false;
  bool stopped = false;
  uint16_t port = 0;
  std::set<tcp::socket*> holding;
  size_t hangups = 0;
  size_t accepted = 0;
  std::set<tcp::socket*> sockets;
  std::vector<Seen> seen;
};

void TestServer::Impl::Listen() {
  tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);
  acceptor.open(any_port.protocol());
  acceptor.bind(any_port);
  acceptor.listen();
  port = acceptor.local_endpoint().port();
}

void TestServer::Impl::UseTls(const TestCertificate& certificate) {
  tls.emplace(asio::ssl::context::tls_server);
  tls->use_certificate_chain(asio::buffer(certificate.certificate_pem));
  tls->use_private_key(asio::buffer(certificate.key_pem), asio::ssl::context::pem);
}

Awaitable<void> TestServer::Impl::Accept() {
  while (!stopped) {
    auto [error, socket] = co_await acceptor.async_accept(kNoThrow);
    if (error) continue;
    ++accepted;
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    scope.Spawn(tls ? ServeTls(std::move(socket)) : ServePlain(std::move(socket)));
  }
}

Awaitable<void> TestServer::Impl::ServePlain(tcp::socket socket) { co_await Serve(socket); }

Awaitable<void> TestServer::Impl::ServeTls(tcp::socket socket) {
  TlsSocket stream(std::move(socket), *tls);
  sockets.insert(&stream.next_layer());
  auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kNoThrow);
  sockets.erase(&stream.next_layer());
  if (!error && !stopped) co_await Serve(stream);
}

template <class Layer>
Awaitable<void> TestServer::Impl::Serve(Layer& layer) {
  sockets.insert(&Lowest(layer));
  beast::flat_buffer buffer;
  for (bool go_on = true; go_on && !stopped;) {
    beast::http::request_parser<beast::http::string_body> parser;
    parser.body_limit(64u << 20);
    auto [error, size] = co_await beast::http::async_read(layer, buffer, parser, kNoThrow);
    if (error) break;
    auto request = parser.release();
    Seen one{std::string(request.method_string()),
             std::string(request.target()),
             {},
             std::move(request.body())};
    for (const auto& field : request.base()) {
      one.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    seen.push_back(std::move(one));
    changed.NotifyAll();
    go_on = co_await Send(layer, handler(seen.back()));
  }
  sockets.erase(&Lowest(layer));
  changed.NotifyAll();
}

template <class Layer>
Awaitable<bool> TestServer::Impl::Send(Layer& layer, Reply reply) {
  for (Reply::Part& part : reply.parts) {
    if (part.held && !always_release && !stopped) {
      if (!co_await Hold(Lowest(layer))) co_return false;
    }
    if (!Lowest(layer).is_open()) co_return false;
    auto [error, size] = co_await asio::async_write(layer, asio::buffer(part.bytes), kNoThrow);
    if (error) co_return false;
  }
  if (reply.then == Reply::Then::kKeep) co_return true;
  error_code ignored;
  if (reply.then == Reply::Then::kReset) {
    Lowest(layer).set_option(asio::socket_base::linger(true, 0), ignored);
  }
  Lowest(layer).close(ignored);
  co_return false;
}

// False when the client hung up, or the server stops.
Awaitable<bool> TestServer::Impl::Hold(tcp::socket& socket) {
  holding.insert(&socket);
  changed.NotifyAll();
  auto [error] = co_await socket.async_wait(tcp::socket::wait_read, kNoThrow);
  holding.erase(&socket);
  if (!error) ++hangups;
  changed.NotifyAll();
  co_return error&& socket.is_open();
}

void TestServer::Impl::CloseAll() {
  error_code ignored;
  for (tcp::socket* socket : sockets) socket->close(ignored);
}

TestServer::TestServer(runtime::AsioRuntime& runtime, Handler handler,
                       const TestCertificate* certificate)
    : impl_(std::make_unique<Impl>(runtime, std::move(handler))) {
  if (certificate) impl_->UseTls(*certificate);
  impl_->Listen();
  impl_->scope.Spawn(impl_->Accept());
}

TestServer::~TestServer() = default;

uint16_t TestServer::port() const { return impl_->port; }
std::string TestServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", impl_->tls ? "https" : "http", port());
}
void TestServer::set_handler(Handler handler) { impl_->handler = std::move(handler); }
const std::vector<Seen>& TestServer::seen() const { return impl_->seen; }
size_t TestServer::accepted() const { return impl_->accepted; }
size_t TestServer::open() const { return impl_->sockets.size(); }
size_t TestServer::held() const { return impl_->holding.size(); }
size_t TestServer::hangups() const { return impl_->hangups; }

void TestServer::Release() {
  impl_->always_release = true;
  for (tcp::socket* socket : impl_->holding) socket->cancel();
}

Awaitable<void> TestServer::Until(std::function<bool()> condition) {
  while (!condition()) co_await impl_->changed.Wait();
}

void TestServer::CloseConnections() { impl_->CloseAll(); }

Awaitable<void> TestServer::Stop() {
  impl_->stopped = true;
  error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->CloseAll();
  co_await impl_->scope.Join();
}

}  // namespace inferq::http::testing
