#include "engine/remote/answer.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include "wire/chat.h"
#include "wire/error_map.h"
#include "wire/json.h"

namespace inferq::engine {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLongestWait = std::chrono::hours(1);

std::optional<double> ParseNumber(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0))
    return std::nullopt;
  return value;
}

milliseconds Bounded(double ms) {
  double most = static_cast<double>(kLongestWait.count());
  return milliseconds(static_cast<int64_t>(std::min(ms, most)));
}

// "Wed, 21 Oct 2026 07:28:00 GMT"
std::optional<base::WallTime> ParseHttpDate(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (!end || *end != '\0') return std::nullopt;
  return base::WallTime(std::chrono::seconds(timegm(&parts)));
}

// The field that the server's error names, in our words.
std::string ParamOf(std::string_view body) {
  auto json = wire::ParseJson(body);
  if (!json) return {};
  auto error = json->Find("error");
  auto param = error ? error->Find("param") : json->Find("param");
  std::string name = param ? param->AsString().value_or("") : "";
  return name.empty() || name.starts_with("body") ? name : "body." + name;
}

// What the caller should do, for one request of a batch. Unlike the general table: whatever is
// wrong with the request is kInvalidArgument, and whatever may pass is kUnavailable, so that a
// status can neither condemn the engine (kFailedPrecondition) nor make a suspect of the task
// (kAborted).
Code RequestCode(int status) {
  if (status == 401 || status == 403 || status == 429) return wire::CodeOfStatus(status);
  if (status == 402) return Code::kPermissionDenied;  // the account is empty
  if (status == 408 || status == 409 || status == 425 || status == 499) return Code::kUnavailable;
  return status >= 400 && status < 500 ? Code::kInvalidArgument : Code::kUnavailable;
}

std::string Hint(const http::Response& response) {
  int status = response.head.status;
  if (status / 100 == 3) {
    auto location = http::FindHeader(response.head.headers, "location");
    return fmt::format("; redirects are not followed, so give the address it leads to{}{}",
                       location ? ": " : "", location.value_or(""));
  }
  if (status == 401) return "; check the API key";
  if (status == 404) return "; check the model's name and the address's path";
  return "";
}

struct Ending {
  std::string_view word;
  FinishReason reason;
};
// Other servers' words.
constexpr Ending kEndings[] = {
    {"", FinishReason::kStop},
    {"eos", FinishReason::kStop},
    {"eos_token", FinishReason::kStop},
    {"end_turn", FinishReason::kStop},
    {"stop_sequence", FinishReason::kStop},
    {"max_tokens", FinishReason::kLength},
    {"model_context_window_exceeded", FinishReason::kLength},
    {"function_call", FinishReason::kToolCalls},
    {"sensitive", FinishReason::kContentFilter},
};

// nullopt: the server gave up in the middle ("abort", "error", "network_error").
std::optional<FinishReason> ReadFinishReason(std::string_view word) {
  if (auto known = ParseFinishReason(word); known && *known != FinishReason::kCancelled)
    return known;
  for (const Ending& ending : kEndings) {
    if (ending.word == word) return ending.reason;
  }
  for (std::string_view failed : {"abort", "aborted", "cancelled", "error", "network_error"}) {
    if (word == failed) return std::nullopt;
  }
  return FinishReason::kStop;
}

std::string Excerpt(std::string_view body) {
  constexpr size_t kMost = 200;
  std::string text = wire::RepairUtf8(body.substr(0, kMost));
  return body.size() > kMost ? text + "…" : text;
}

}  // namespace

milliseconds RetryAfter(const http::Headers& headers, base::WallTime now) {
  if (auto text = http::FindHeader(headers, "retry-after-ms")) {
    if (auto ms = ParseNumber(*text)) return Bounded(*ms);
  }
  auto text = http::FindHeader(headers, "retry-after");
  if (!text) return milliseconds(0);
  if (auto seconds = ParseNumber(*text)) return Bounded(*seconds * 1000);
  auto date = ParseHttpDate(std::string(*text));
  if (!date || *date <= now) return milliseconds(0);
  return std::min(std::chrono::ceil<milliseconds>(*date - now), kLongestWait);
}

Error AnswerError(const http::Response& response, base::WallTime now) {
  Error told = wire::RemoteError(response.head.status, response.body);
  return Error(RequestCode(response.head.status), told.message() + Hint(response))
      .WithParam(ParamOf(response.body))
      .WithRetryAfter(RetryAfter(response.head.headers, now));
}

Result<Delta> ReadAnswer(http::Response response, base::WallTime now) {
  if (response.head.status / 100 != 2) return std::unexpected(AnswerError(response, now));
  auto encoding = http::FindHeader(response.head.headers, "content-encoding");
  if (encoding && *encoding != "identity") {
    return Fail(Code::kUnavailable,
                "The server compressed its answer ({}), which it was not asked to", *encoding);
  }
  auto json = wire::ParseJson(response.body);
  if (!json) {
    return Fail(Code::kUnavailable,
                "The server's answer is not JSON; check that the address is that of an "
                "OpenAI-compatible API. It "
                "begins with: {}",
                Excerpt(response.body));
  }
  auto completion = wire::ParseCompletionBody(*json);
  if (!completion) {
    return Fail(Code::kUnavailable, "The server's answer has no choices. It begins with: {}",
                Excerpt(response.body));
  }
  auto reason = ReadFinishReason(completion->finish_reason);
  if (!reason) {
    return Fail(Code::kUnavailable, "The server gave up on the request (finish_reason '{}')",
                completion->finish_reason);
  }
  Delta delta;
  delta.text = std::move(completion->text);
  delta.tokens = completion->usage.completion_tokens;
  delta.finish_reason = reason;
  delta.usage = {.prompt_tokens = completion->usage.prompt_tokens,
                 .completion_tokens = completion->usage.completion_tokens,
                 .cached_tokens = completion->usage.cached_tokens};
  // One line, so that it fits into a line of JSONL.
  bool lines = response.body.find_first_of("\r\n") != std::string::npos;
  delta.raw_response = lines ? wire::CompactJson(*json) : std::move(response.body);
  return delta;
}

}  // namespace inferq::engine
