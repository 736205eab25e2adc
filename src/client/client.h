#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/rng.h"
#include "client/file_upload.h"
#include "client/types.h"
#include "http/client.h"
#include "runtime/event.h"

namespace inferq::client {

using runtime::Awaitable;

struct ClientOptions {
  std::string base_url = "http://127.0.0.1:8080/v1";
  std::string api_key{};  ///< Empty: none is sent. Shows in no message.
  /// A call that meets failures which may pass goes on trying for this long: a download since its
  /// last byte, an upload not counting the time it sends.
  base::Micros give_up_after{120'000'000};
  base::Micros first_pause{500'000};
  base::Micros longest_pause{8'000'000};
  /// The server knows an Idempotency-Key again, so that a creation whose answer was lost may be
  /// sent again. Otherwise only those are that the server refused to begin.
  bool repeat_creations = false;
  /// Ends the call under way and all later ones: kCancelled.
  std::shared_ptr<runtime::Cancellation> cancel{};
};

struct NewUpload {
  std::shared_ptr<base::File> file;
  std::string filename;  ///< As the server shall show it.
  std::string purpose = "batch";
  OnBytes on_bytes{};
};

struct NewBatch {
  std::string input_file_id;
  std::string endpoint = "/v1/chat/completions";
  std::string completion_window = "24h";
  std::map<std::string, std::string> metadata{};
  std::optional<int> priority{};  ///< Of inferq.
};

/// What may change of a batch that runs. Of inferq.
struct BatchChange {
  std::optional<int> priority{};
  std::optional<std::optional<base::WallTime>> deadline{};  ///< Set to nullopt: none any more.
};

/// Takes the bytes of a download, in order; `offset` is that of the first in the file. Called where
/// blocking is allowed. What it fails with ends the download.
using Sink = std::function<base::Result<>(uint64_t offset, std::string_view bytes)>;

/// Speaks to a server's /files and /batches. On the strand of `runtime`, which outlives it with
/// `dialer`.
///
/// Failures that may pass (no connection, 408, 409, 429, 5xx) are tried again, after the time that
/// the server asks for or after pauses that grow; `x-should-retry` has the last word. Errors carry
/// the server's sentence, code, field and request id.
class Client {
 public:
  Client(runtime::Runtime& runtime, runtime::Dialer& dialer, ClientOptions options);

  Awaitable<base::Result<File>> Upload(NewUpload upload);
  Awaitable<base::Result<File>> GetFile(std::string id);
  /// Newest first. @param purpose  empty: all. @param limit  0: all there are, page by page.
  Awaitable<base::Result<std::vector<File>>> ListFiles(std::string purpose, uint64_t limit);
  /// The server's answer, as JSON on one line.
  Awaitable<base::Result<std::string>> DeleteFile(std::string id);
  /// Hands the content from `offset` on to `sink`, also when the connection breaks meanwhile.
  /// @return the size of the file. kDataLoss: the file has not `offset` bytes.
  Awaitable<base::Result<uint64_t>> Download(std::string id, uint64_t offset, Sink sink,
                                             OnBytes on_bytes);

  Awaitable<base::Result<Batch>> CreateBatch(NewBatch batch);
  Awaitable<base::Result<Batch>> GetBatch(std::string id);
  /// Newest first. @param limit  0: all there are, page by page.
  Awaitable<base::Result<std::vector<Batch>>> ListBatches(uint64_t limit);
  Awaitable<base::Result<Batch>> CancelBatch(std::string id);

  // Of inferq: other servers answer 404.

  Awaitable<base::Result<Batch>> PauseBatch(std::string id, bool paused);
  Awaitable<base::Result<Batch>> EditBatch(std::string id, BatchChange change);
  /// Runs what failed or expired again. @return the new batch.
  Awaitable<base::Result<Batch>> RetryBatch(std::string id);
  /// The lines behind the offset `after` ("": all) that there are now.
  /// @param status  "succeeded", "failed"; "": both.
  Awaitable<base::Result<Results>> ReadResults(std::string id, std::string after,
                                               std::string status);

  /// Waits for `pause`. kCancelled as the calls.
  Awaitable<base::Result<>> Pause(base::Micros pause);

  void CloseIdle() { http_.CloseIdle(); }

 private:
  class Patience;
  struct Transfer;

  http::Request NewRequest(std::string method, std::string path) const;
  Awaitable<base::Result<std::string>> Ask(http::Request request, bool creates);
  Awaitable<base::Result<http::Response>> AskWhole(http::Request request, bool creates);
  Awaitable<base::Result<Batch>> AskBatch(http::Request request, bool creates);
  Awaitable<base::Result<>> Receive(Transfer& transfer);
  Awaitable<base::Result<>> Deliver(Transfer& transfer, std::string piece);
  template <class T, class Parse>
  Awaitable<base::Result<std::vector<T>>> ListAll(std::string path, uint64_t most_a_page,
                                                  uint64_t limit, Parse parse);
  base::Error ErrorOf(const http::Response& response) const;
  base::Error Redacted(base::Error error) const;
  std::string FreshKey();

  runtime::Runtime& runtime_;
  ClientOptions options_;
  http::Client http_;
  base::Rng rng_;
};

}  // namespace inferq::client
