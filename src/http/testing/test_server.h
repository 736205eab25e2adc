#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "runtime/asio_runtime.h"

namespace inferq::http::testing {

/// A request as the server saw it.
struct Seen {
  std::string method;
  std::string target;
  Headers headers;
  std::string body;
};

/// What to do with a request: bytes to send, exactly as they are, in parts.
struct Reply {
  struct Part {
    std::string bytes;
    bool held = false;  ///< Not sent before Release() is called.
  };
  std::vector<Part> parts;
  enum class Then : uint8_t { kKeep, kClose, kReset } then = Then::kKeep;
};

/// A whole answer with Content-Length.
Reply Answer(int status, std::string_view body, std::string_view more_headers = {});
/// The same in chunks of `chunk` bytes.
Reply ChunkedAnswer(std::string_view body, size_t chunk, std::string_view more_headers = {});
/// Closes without a byte.
Reply Hangup();
/// Answers when released.
Reply Held(Reply reply);

/// A certificate that vouches for itself, made anew.
struct TestCertificate {
  std::string certificate_pem;
  std::string key_pem;
};
/// @param names  as OpenSSL writes them, for example "DNS:localhost,IP:127.0.0.1".
TestCertificate MakeTestCertificate(const std::string& names);

/// A real HTTP server on a free port of 127.0.0.1 that misbehaves as told. On the strand of
/// `runtime`, which outlives it; tests of one thread need no waiting. co_await Stop() before
/// destruction.
class TestServer {
 public:
  using Handler = std::function<Reply(const Seen&)>;

  /// @param certificate  serves TLS with it; null: plain.
  TestServer(runtime::AsioRuntime& runtime, Handler handler,
             const TestCertificate* certificate = nullptr);
  ~TestServer();

  uint16_t port() const;
  /// "http://127.0.0.1:port"
  std::string url() const;
  void set_handler(Handler handler);
  const std::vector<Seen>& seen() const;
  /// Connections accepted so far, and those still open.
  size_t accepted() const;
  size_t open() const;
  /// Requests that wait for Release(), and those whose client hung up meanwhile.
  size_t held() const;
  size_t hangups() const;
  /// Sends everything that is held; later held parts go at once.
  void Release();
  /// Waits until `condition` on the above holds.
  runtime::Awaitable<void> Until(std::function<bool()> condition);
  /// Closes idle connections, as servers do after their keep-alive time.
  void CloseConnections();
  runtime::Awaitable<void> Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferq::http::testing
