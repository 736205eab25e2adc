#include "client/client.h"

#include <algorithm>
#include <charconv>

#include "http/retry_after.h"
#include "wire/error_map.h"

namespace inferq::client {

using base::Code;
using base::Error;
using base::Fail;
using base::Micros;
using base::Result;
using base::SteadyTime;

namespace {

constexpr size_t kShortestSecret = 4;
constexpr size_t kLongestRefusal = 1u << 20;  // bytes of an error's body
constexpr uint64_t kBatchesAPage = 100;       // the servers' limits
constexpr uint64_t kFilesAPage = 1000;
constexpr Micros kAnswerTimeout{600'000'000};

// An id, or another text, as part of an address.
std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = std::isalnum(byte) != 0 || std::string_view("-._~").contains(c);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

bool MayPass(int status) {
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

// Whether the server says that it did not begin: then a creation may be sent again.
bool WasTurnedAway(const http::ResponseHead& head) {
  return head.status == 429 ||
         (head.status == 503 && http::FindHeader(head.headers, "retry-after").has_value());
}

bool IsWorthRepeating(const http::ResponseHead& head, bool harmless) {
  if (auto told = http::FindHeader(head.headers, "x-should-retry")) return *told == "true";
  return MayPass(head.status) && (harmless || WasTurnedAway(head));
}

std::string BatchJson(const NewBatch& batch) {
  std::string json =
      fmt::format(R"({{"input_file_id":{},"endpoint":{},"completion_window":{})",
                  wire::JsonString(batch.input_file_id), wire::JsonString(batch.endpoint),
                  wire::JsonString(batch.completion_window));
  std::string metadata;
  for (const auto& [key, value] : batch.metadata) {
    if (!metadata.empty()) metadata += ",";
    metadata += wire::JsonString(key) + ":" + wire::JsonString(value);
  }
  if (!metadata.empty()) json += ",\"metadata\":{" + metadata + "}";
  if (batch.priority) json += fmt::format(",\"priority\":{}", *batch.priority);
  return json + "}";
}

std::string ChangeJson(const BatchChange& change) {
  std::string json;
  if (change.priority) json += fmt::format(",\"priority\":{}", *change.priority);
  if (change.deadline) {
    json += ",\"deadline\":";
    std::optional<base::WallTime> to = *change.deadline;
    json += to ? std::to_string(
                     std::chrono::floor<std::chrono::seconds>(to->time_since_epoch()).count())
               : "null";
  }
  return "{" + json.substr(std::min<size_t>(1, json.size())) + "}";
}

template <class Parse>
auto ParseText(const std::string& text, Parse parse)
    -> std::invoke_result_t<Parse, wire::JsonValue> {
  auto json = wire::ParseJson(text);
  if (json) return parse(*json);
  return Fail(Code::kUnavailable,
              "the server's answer is not JSON ({}); check that the address is that of an "
              "OpenAI-compatible API",
              json.error().message());
}

// "bytes 5-9/10", "bytes */10": where the bytes begin and the size of the file.
struct ContentRange {
  std::optional<uint64_t> first;
  std::optional<uint64_t> size;
};

// The number that the text begins with.
std::optional<uint64_t> LeadingNumber(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

ContentRange ContentRangeOf(const http::ResponseHead& head) {
  std::string_view text = http::FindHeader(head.headers, "content-range").value_or("");
  if (!text.starts_with("bytes ")) return {};
  size_t slash = text.find('/');
  return {.first = LeadingNumber(text.substr(6)),
          .size = slash == text.npos ? std::nullopt : LeadingNumber(text.substr(slash + 1))};
}

std::optional<uint64_t> LengthOf(const http::ResponseHead& head) {
  return LeadingNumber(http::FindHeader(head.headers, "content-length").value_or(""));
}

}  // namespace

/// How long one call goes on after failures that may pass.
class Client::Patience {
 public:
  explicit Patience(const Client& client)
      : options_(client.options_), clock_(client.runtime_.clock()) {
    Renew();
  }
  /// Begins anew: there was progress.
  void Renew() {
    deadline_ = clock_.Steady() + options_.give_up_after;
    pause_ = options_.first_pause;
  }
  /// Does not count `time`: it was spent on sending.
  void Extend(Micros time) { deadline_ += time; }
  SteadyTime deadline() const { return deadline_; }
  /// How long to wait before the next try; nullopt: give up.
  std::optional<Micros> NextPause(const Error& error, base::Rng& rng) {
    Micros pause = std::chrono::duration_cast<Micros>(pause_ * (1.0 - rng.Uniform() / 4));
    pause_ = std::min(pause_ * 2, options_.longest_pause);
    pause = std::max<Micros>(pause, error.retry_after());
    if (clock_.Steady() + pause >= deadline_) return std::nullopt;
    return pause;
  }

 private:
  const ClientOptions& options_;
  const base::Clock& clock_;
  SteadyTime deadline_;
  Micros pause_{0};
};

/// A download under way.
struct Client::Transfer {
  std::string id;
  uint64_t offset;  // of the next byte that the sink gets
  Sink sink;
  OnBytes on_bytes;
  Patience patience;
  uint64_t to_skip = 0;  // bytes that come although we have them
  std::optional<uint64_t> size{};
  bool may_pass = false;  // what ended the last request
};

Client::Client(runtime::Runtime& runtime, runtime::Dialer& dialer, ClientOptions options)
    : runtime_(runtime),
      options_(std::move(options)),
      http_(runtime, dialer),
      rng_(base::RandomSeed()) {
  while (options_.base_url.ends_with('/')) options_.base_url.pop_back();
}

http::Request Client::NewRequest(std::string method, std::string path) const {
  http::Request request;
  request.method = std::move(method);
  request.url = options_.base_url + path;
  request.headers = {{"User-Agent", "inferq"}};
  if (!options_.api_key.empty()) {
    request.headers.push_back({"Authorization", "Bearer " + options_.api_key});
  }
  request.timeouts.first_byte = kAnswerTimeout;
  request.cancel = options_.cancel;
  return request;
}

std::string Client::FreshKey() {
  return fmt::format("inferq-{:016x}{:016x}", rng_.Next(), rng_.Next());
}

Error Client::Redacted(Error error) const {
  const std::string& key = options_.api_key;
  std::string message = error.message();
  if (key.size() < kShortestSecret || !message.contains(key)) return error;
  for (size_t at = message.find(key); at != message.npos; at = message.find(key, at)) {
    message.replace(at, key.size(), "[key]");
  }
  return Error(error.code(), std::move(message)).WithRetryAfter(error.retry_after());
}

Error Client::ErrorOf(const http::Response& response) const {
  Error told = wire::RemoteError(response.head.status, response.body);
  std::string param;
  std::string more;
  auto json = wire::ParseJson(response.body);
  if (auto error = json ? json->Find("error") : std::nullopt) {
    auto text = [&](const char* key) {
      auto value = error->Find(key);
      return value ? value->AsString().value_or("") : "";
    };
    param = text("param");
    if (!param.empty()) more += ", field " + param;
    if (auto code = text("code"); !code.empty()) more += ", code " + code;
  }
  if (auto id = http::FindHeader(response.head.headers, "x-request-id")) {
    more += fmt::format(", request {}", *id);
  }
  std::string message = told.message();
  if (!more.empty()) message += " (" + more.substr(2) + ")";
  if (response.head.status == 401) message += "; check the API key";
  return Redacted(
      Error(told.code(), std::move(message))
          .WithParam(std::move(param))
          .WithRetryAfter(http::RetryAfter(response.head.headers, runtime_.clock().Wall())));
}

Awaitable<Result<>> Client::Pause(Micros pause) {
  runtime::Event cancelled(runtime_);
  runtime::CancelHook hook(options_.cancel, [&cancelled] { cancelled.NotifyAll(); });
  if (!options_.cancel || !options_.cancel->cancelled()) {
    co_await cancelled.WaitUntil(runtime_.clock().Steady() + pause);
  }
  if (options_.cancel && options_.cancel->cancelled()) {
    co_return Fail(Code::kCancelled, "cancelled");
  }
  co_return Result<>{};
}

// Sends until there is an answer that stands. `creates`: the request is not harmless when repeated.
Awaitable<Result<http::Response>> Client::AskWhole(http::Request request, bool creates) {
  Patience patience(*this);
  bool harmless = !creates || options_.repeat_creations;
  bool uploads = request.body_source != nullptr;
  if (creates) request.headers.push_back({"Idempotency-Key", FreshKey()});
  for (;;) {
    bool connected = false;
    request.connected = &connected;
    SteadyTime begun = runtime_.clock().Steady();
    if (!uploads) request.deadline = patience.deadline();  // an upload takes as long as it takes
    auto response = co_await http_.Send(request);
    bool again = false;
    Error error(Code::kInternal, "");
    if (response) {
      if (response->head.status / 100 == 2) co_return response;
      error = ErrorOf(*response);
      again = IsWorthRepeating(response->head, harmless);
    } else {
      error = std::move(response).error();
      again = error.code() == Code::kUnavailable && (harmless || !connected);
      bool lost = error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
      if (creates && connected && lost && !again) {
        error = Error(error.code(), error.message() +
                                        "; the server may have taken the request, although its "
                                        "answer was lost: look before you send it again");
      }
    }
    if (uploads && connected) patience.Extend(runtime_.clock().Steady() - begun);
    auto pause = again ? patience.NextPause(error, rng_) : std::nullopt;
    if (!pause) co_return std::unexpected(std::move(error));
    INFERQ_CO_TRY(co_await Pause(*pause));
    if (uploads && !request.body_source->Restart()) co_return std::unexpected(std::move(error));
  }
}

Awaitable<Result<std::string>> Client::Ask(http::Request request, bool creates) {
  INFERQ_CO_ASSIGN(http::Response response, co_await AskWhole(std::move(request), creates));
  co_return std::move(response.body);
}

Awaitable<Result<Batch>> Client::AskBatch(http::Request request, bool creates) {
  INFERQ_CO_ASSIGN(std::string text, co_await Ask(std::move(request), creates));
  co_return ParseText(text, ParseBatch);
}

Awaitable<Result<File>> Client::Upload(NewUpload upload) {
  auto measure = [file = upload.file] { return file->Size(); };
  INFERQ_CO_ASSIGN(uint64_t size,
                   co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(measure)));
  std::string boundary = FreshKey();
  http::Request request = NewRequest("POST", "/files");
  request.headers.push_back({"Content-Type", "multipart/form-data; boundary=" + boundary});
  request.body_source =
      std::make_shared<FileUpload>(runtime_, std::move(upload.file), size, upload.filename,
                                   upload.purpose, boundary, std::move(upload.on_bytes));
  INFERQ_CO_ASSIGN(std::string text, co_await Ask(std::move(request), true));
  co_return ParseText(text, ParseFile);
}

Awaitable<Result<File>> Client::GetFile(std::string id) {
  INFERQ_CO_ASSIGN(std::string text,
                   co_await Ask(NewRequest("GET", "/files/" + Escaped(id)), false));
  co_return ParseText(text, ParseFile);
}

Awaitable<Result<std::string>> Client::DeleteFile(std::string id) {
  INFERQ_CO_ASSIGN(std::string text,
                   co_await Ask(NewRequest("DELETE", "/files/" + Escaped(id)), false));
  auto compact = [](wire::JsonValue json) -> Result<std::string> {
    return wire::CompactJson(json);
  };
  co_return ParseText(text, compact);
}

template <class T, class Parse>
Awaitable<Result<std::vector<T>>> Client::ListAll(std::string path, uint64_t most_a_page,
                                                  uint64_t limit, Parse parse) {
  std::vector<T> all;
  for (std::string after;;) {
    uint64_t wanted = limit == 0 ? most_a_page : std::min(most_a_page, limit - all.size());
    std::string page = fmt::format("{}limit={}", path, wanted);
    if (!after.empty()) page += "&after=" + Escaped(after);
    INFERQ_CO_ASSIGN(std::string text, co_await Ask(NewRequest("GET", page), false));
    auto take = [&](wire::JsonValue json) -> Result<bool> {
      auto data = json.Find("data");
      size_t before = all.size();
      for (wire::JsonValue entry : data ? data->Elements() : std::vector<wire::JsonValue>()) {
        INFERQ_ASSIGN(T one, parse(entry));
        all.push_back(std::move(one));
      }
      auto more = json.Find("has_more");
      return all.size() > before && more && more->AsBool() == true;
    };
    INFERQ_CO_ASSIGN(bool more, ParseText(text, take));
    if (!more || (limit != 0 && all.size() >= limit)) break;
    if (all.back().id == after) {
      co_return Fail(Code::kUnavailable, "the server's pages do not end: {} came again", after);
    }
    after = all.back().id;
  }
  if (limit != 0 && all.size() > limit) all.resize(limit);
  co_return std::move(all);
}

Awaitable<Result<std::vector<File>>> Client::ListFiles(std::string purpose, uint64_t limit) {
  std::string path = purpose.empty() ? "/files?" : "/files?purpose=" + Escaped(purpose) + "&";
  return ListAll<File>(std::move(path), kFilesAPage, limit, ParseFile);
}

Awaitable<Result<std::vector<Batch>>> Client::ListBatches(uint64_t limit) {
  return ListAll<Batch>("/batches?", kBatchesAPage, limit, ParseBatch);
}

Awaitable<Result<Batch>> Client::CreateBatch(NewBatch batch) {
  http::Request request = NewRequest("POST", "/batches");
  request.headers.push_back({"Content-Type", "application/json"});
  request.body = BatchJson(batch);
  return AskBatch(std::move(request), true);
}

Awaitable<Result<Batch>> Client::GetBatch(std::string id) {
  return AskBatch(NewRequest("GET", "/batches/" + Escaped(id)), false);
}

Awaitable<Result<Batch>> Client::CancelBatch(std::string id) {
  return AskBatch(NewRequest("POST", "/batches/" + Escaped(id) + "/cancel"), false);
}

Awaitable<Result<Batch>> Client::PauseBatch(std::string id, bool paused) {
  std::string what = paused ? "/pause" : "/resume";
  return AskBatch(NewRequest("POST", "/batches/" + Escaped(id) + what), false);
}

Awaitable<Result<Batch>> Client::EditBatch(std::string id, BatchChange change) {
  http::Request request = NewRequest("PATCH", "/batches/" + Escaped(id));
  request.headers.push_back({"Content-Type", "application/json"});
  request.body = ChangeJson(change);
  return AskBatch(std::move(request), false);
}

Awaitable<Result<Batch>> Client::RetryBatch(std::string id) {
  return AskBatch(NewRequest("POST", "/batches/" + Escaped(id) + "/retry"), true);
}

Awaitable<Result<Results>> Client::ReadResults(std::string id, std::string after,
                                               std::string status) {
  std::string path = "/batches/" + Escaped(id) + "/results?limit=10000";
  if (!after.empty()) path += "&after=" + Escaped(after);
  if (!status.empty()) path += "&status=" + Escaped(status);
  INFERQ_CO_ASSIGN(http::Response response, co_await AskWhole(NewRequest("GET", path), false));
  auto next = http::FindHeader(response.head.headers, "x-inferq-next-offset");
  if (!next) {
    co_return Fail(Code::kUnavailable,
                   "the server's answer has no x-inferq-next-offset; it does not give results of "
                   "batches that run");
  }
  auto more = http::FindHeader(response.head.headers, "x-inferq-has-more");
  co_return Results{.lines = std::move(response.body),
                    .next = std::string(*next),
                    .has_more = more.value_or("true") != "false"};
}

Awaitable<Result<uint64_t>> Client::Download(std::string id, uint64_t offset, Sink sink,
                                             OnBytes on_bytes) {
  Transfer transfer{.id = std::move(id),
                    .offset = offset,
                    .sink = std::move(sink),
                    .on_bytes = std::move(on_bytes),
                    .patience = Patience(*this)};
  for (;;) {
    auto received = co_await Receive(transfer);
    if (received) co_return transfer.offset;
    Error error = Redacted(std::move(received).error());
    auto pause = transfer.may_pass ? transfer.patience.NextPause(error, rng_) : std::nullopt;
    if (!pause) co_return std::unexpected(std::move(error));
    INFERQ_CO_TRY(co_await Pause(*pause));
  }
}

namespace {

// All of a refusal, in bounds.
Awaitable<Result<http::Response>> ReadRefusal(http::ResponseStream& stream) {
  http::Response response{stream.head(), {}};
  for (;;) {
    INFERQ_CO_ASSIGN(auto piece, co_await stream.Next());
    if (!piece || response.body.size() > kLongestRefusal) co_return std::move(response);
    response.body += *piece;
  }
}

}  // namespace

// One request for what is missing of a download.
Awaitable<Result<>> Client::Receive(Transfer& transfer) {
  transfer.may_pass = false;
  http::Request request = NewRequest("GET", "/files/" + Escaped(transfer.id) + "/content");
  request.headers.push_back({"Accept", "application/binary"});
  if (transfer.offset > 0) {
    request.headers.push_back({"Range", fmt::format("bytes={}-", transfer.offset)});
  }
  request.max_body = UINT64_MAX;  // it is not kept in memory
  auto opened = co_await http_.Open(std::move(request));
  if (!opened) {
    transfer.may_pass = opened.error().code() == Code::kUnavailable;
    co_return std::unexpected(std::move(opened).error());
  }
  http::ResponseStream& stream = **opened;
  const http::ResponseHead& head = stream.head();
  ContentRange range = ContentRangeOf(head);
  if (head.status == 416 && range.size == transfer.offset) co_return Result<>{};  // had it all
  if (head.status == 206 && range.first != transfer.offset) {
    co_return Fail(Code::kDataLoss, "the server sent other bytes of {} than those from {} on",
                   transfer.id, transfer.offset);
  }
  if (head.status != 200 && head.status != 206) {
    INFERQ_CO_ASSIGN(http::Response refusal, co_await ReadRefusal(stream));
    transfer.may_pass = IsWorthRepeating(refusal.head, true);
    co_return std::unexpected(ErrorOf(refusal));
  }
  transfer.to_skip = head.status == 200 ? transfer.offset : 0;
  transfer.size = head.status == 206 ? range.size : LengthOf(head);
  for (;;) {
    auto piece = co_await stream.Next();
    if (!piece) {
      transfer.may_pass = piece.error().code() == Code::kUnavailable;
      co_return std::unexpected(std::move(piece).error());
    }
    if (!*piece) break;
    INFERQ_CO_TRY(co_await Deliver(transfer, **std::move(piece)));
  }
  if (transfer.to_skip > 0) {
    co_return Fail(Code::kDataLoss, "{} is shorter than the {} bytes that are there already",
                   transfer.id, transfer.offset);
  }
  co_return Result<>{};
}

Awaitable<Result<>> Client::Deliver(Transfer& transfer, std::string piece) {
  uint64_t skipped = std::min<uint64_t>(transfer.to_skip, piece.size());
  transfer.to_skip -= skipped;
  piece.erase(0, skipped);
  if (piece.empty()) co_return Result<>{};
  uint64_t size = piece.size();
  auto write = [sink = transfer.sink, offset = transfer.offset, piece = std::move(piece)] {
    return sink(offset, piece);
  };
  auto written = co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(write));
  if (!written) co_return std::unexpected(std::move(written).error());
  transfer.offset += size;
  transfer.patience.Renew();
  if (transfer.on_bytes) transfer.on_bytes(transfer.offset, transfer.size.value_or(0));
  co_return Result<>{};
}

}  // namespace inferq::client
