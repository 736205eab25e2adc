// The results of a batch, page by page or as a stream, also while it runs.

#include <algorithm>

#include "api/answer_events.h"
#include "api/query.h"
#include "api/routes.h"
#include "model/batch.h"
#include "runtime/event.h"

namespace inferq::api {

using namespace std::chrono_literals;
using service::ResultFilter;
using service::ResultsPage;
using service::ResultsRequest;
using wire::ApiResult;

namespace {

constexpr uint32_t kMaxLines = 10'000;  // of one page
constexpr uint32_t kLines = 1000;
constexpr uint64_t kPageBytes = 4u << 20;
constexpr base::Micros kShortestPause = 50ms;  // of a follower, between two looks
constexpr base::Micros kLongestPause = 1s;

ApiResult<bool> FlagParam(std::string_view query, std::string_view name) {
  INFERQ_ASSIGN(auto text, FindParam(query, name));
  if (!text || *text == "false") return false;
  if (*text == "true") return true;
  return std::unexpected(wire::InvalidValue(name, *text, "'true' and 'false'"));
}

ApiResult<ResultFilter> FilterParam(std::string_view query) {
  INFERQ_ASSIGN(auto text, FindParam(query, "status"));
  if (!text) return ResultFilter::kAll;
  if (*text == "succeeded") return ResultFilter::kSucceeded;
  if (*text == "failed") return ResultFilter::kFailed;
  return std::unexpected(wire::InvalidValue("status", *text, "'succeeded' and 'failed'"));
}

ApiResult<ResultsRequest> ReadRequest(Call& call) {
  std::string_view query = call.request().query;
  ResultsRequest request{.id = call.id};
  INFERQ_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_ASSIGN(request.limit, IntegerParam(query, "limit", 1, kMaxLines, kLines));
  INFERQ_ASSIGN(request.filter, FilterParam(query));
  request.after = after.value_or("");
  return request;
}

/// Several of the service's pages as one, since a client pays for each call.
Awaitable<base::Result<ResultsPage>> Gather(Call& call, ResultsRequest request) {
  ResultsPage all{.lines = {}, .next = request.after};
  uint64_t bytes = 0;
  do {
    auto page = co_await call.use_cases.ReadResults(call.here(), call.caller, request);
    if (!page) co_return page;
    bool none = page->lines.empty();
    for (service::ResultLine& line : page->lines) bytes += line.text.size();
    request.limit -= std::min(request.limit, static_cast<uint32_t>(page->lines.size()));
    std::ranges::move(page->lines, std::back_inserter(all.lines));
    all.next = request.after = page->next;
    all.ended = page->ended;
    all.status = page->status;
    if (none) break;
  } while (!all.ended && request.limit > 0 && bytes < kPageBytes);
  co_return all;
}

Awaitable<ApiResult<>> SendPage(Call& call, ResultsRequest request) {
  INFERQ_CO_ASSIGN(ResultsPage page, co_await Gather(call, std::move(request)));
  std::string text;
  for (const service::ResultLine& line : page.lines) text += line.text;
  http::Headers headers{
      {"content-type", "application/jsonl"},
      {"x-inferq-next-offset", page.next},
      {"x-inferq-has-more", page.ended ? "false" : "true"},
      {"x-inferq-batch-status", std::string(model::BatchStatusName(page.status))}};
  (void)co_await call.exchange.Send(200, std::move(headers), std::move(text));
  co_return ApiResult<>();
}

// The stream.

std::string EventsOf(const ResultsPage& page) {
  std::string out;
  for (const service::ResultLine& line : page.lines) {
    out.append("id: ").append(line.next).append("\n");
    AppendEvent(out, std::string_view(line.text).substr(0, line.text.size() - 1));
  }
  if (page.ended) out += "data: [DONE]\n\n";
  return out;
}

/// Sleeps until then, or until the client hangs up. @return whether it is still there.
Awaitable<bool> Rest(Call& call, base::Micros pause) {
  runtime::Event over(call.here());
  runtime::CancelHook hook(call.exchange.gone(), [&over] { over.NotifyAll(); });
  if (!call.exchange.gone()->cancelled())
    co_await over.WaitUntil(call.here().clock().Steady() + pause);
  co_return !call.exchange.gone()->cancelled();
}

/// Writes lines as they come, as fast as the client takes them. What breaks it off after its begin
/// breaks the connection: the client goes on behind the last id that it has.
Awaitable<ApiResult<>> Stream(Call& call, ResultsRequest request) {
  base::SteadyTime silent_since = call.here().clock().Steady();
  for (base::Micros pause = kShortestPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto page = co_await call.use_cases.ReadResults(call.here(), call.caller, request);
    if (!page) co_return std::unexpected(wire::ApiError(page.error()));
    request.after = page->next;
    std::string bytes = EventsOf(*page);
    base::SteadyTime now = call.here().clock().Steady();
    if (bytes.empty() && now - silent_since >= call.options.keep_alive) bytes = kKeepAlive;
    if (!call.exchange.began()) {
      http::Headers headers{{"content-type", "text/event-stream; charset=utf-8"},
                            {"cache-control", "no-cache"},
                            {"x-accel-buffering", "no"}};
      if (!co_await call.exchange.Begin(200, std::move(headers), std::nullopt)) break;
    }
    if (!bytes.empty()) {
      silent_since = now;
      if (!co_await call.exchange.Write(bytes)) break;
    }
    if (page->ended) {
      (void)co_await call.exchange.End();
      break;
    }
    if (!page->lines.empty()) pause = kShortestPause / 2;
    if (page->lines.empty() && !co_await Rest(call, pause)) break;
  }
  co_return ApiResult<>();
}

}  // namespace

Awaitable<ApiResult<>> GetBatchResults(Call& call) {
  INFERQ_CO_ASSIGN(ResultsRequest request, ReadRequest(call));
  INFERQ_CO_ASSIGN(bool stream, FlagParam(call.request().query, "stream"));
  if (!stream || call.request().method == "HEAD")
    co_return co_await SendPage(call, std::move(request));
  request.limit = kLines;  // of a look, not of the stream
  auto resumed = http::FindHeader(call.request().headers, "last-event-id");
  if (resumed && !resumed->empty()) request.after = *resumed;
  co_return co_await Stream(call, std::move(request));
}

}  // namespace inferq::api
