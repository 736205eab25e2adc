#include "engine/remote/answer.h"

#include <charconv>
#include <optional>

#include "http/retry_after.h"
#include "wire/chat.h"
#include "wire/embedding.h"
#include "wire/error_map.h"
#include "wire/json.h"

namespace inferq::engine {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

namespace {

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

// What servers call their errors, and the status that says the same.
struct ErrorWord {
  std::string_view begin;
  int status;
};
constexpr ErrorWord kErrorWords[] = {
    {"invalid_api_key", 401},    {"authentication", 401}, {"permission", 403},
    {"invalid_request", 400},    {"BadRequest", 400},     {"context_length_exceeded", 400},
    {"insufficient_quota", 429}, {"rate_limit", 429},
};

int StatusOfWord(std::string_view word) {
  int status = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), status);
  if (error == std::errc{} && end == word.data() + word.size()) return status;
  for (const ErrorWord& known : kErrorWords) {
    if (word.starts_with(known.begin)) return known.status;
  }
  return 0;
}

// The status of an error in a stream, whose own status was 200.
int StatusOfError(wire::JsonValue error) {
  constexpr int kUnknown = 500;
  for (std::string_view key : {"code", "status", "status_code", "type"}) {
    auto value = error.Find(key);
    if (!value) continue;
    int status = StatusOfWord(value->AsString().value_or(std::string(value->text())));
    if (status >= 400 && status < 600) return status;
  }
  return kUnknown;
}

}  // namespace

Result<FinishReason> ReadFinishReason(std::string_view word) {
  if (auto known = ParseFinishReason(word); known && *known != FinishReason::kCancelled)
    return *known;
  for (const Ending& ending : kEndings) {
    if (ending.word == word) return ending.reason;
  }
  for (std::string_view failed : {"abort", "aborted", "cancelled", "error", "network_error"}) {
    if (word == failed) {
      return Fail(Code::kUnavailable, "The server gave up on the request (finish_reason '{}')",
                  word);
    }
  }
  return FinishReason::kStop;
}

std::string Excerpt(std::string_view body) {
  constexpr size_t kMost = 200;
  std::string text = wire::RepairUtf8(body.substr(0, kMost));
  return body.size() > kMost ? text + "…" : text;
}

Error AnswerError(const http::Response& response, base::WallTime now) {
  Error told = wire::RemoteError(response.head.status, response.body);
  return Error(RequestCode(response.head.status), told.message() + Hint(response))
      .WithParam(ParamOf(response.body))
      .WithRetryAfter(http::RetryAfter(response.head.headers, now));
}

Error EventError(wire::JsonValue event) {
  auto inner = event.Find("error");
  wire::JsonValue error = inner && !inner->is_null() ? *inner : event;
  auto said = error.Find("message");
  auto message = said ? said->AsString() : error.AsString();
  return Error(RequestCode(StatusOfError(error)),
               "The server broke off its answer: " + message.value_or(Excerpt(error.text())))
      .WithParam(ParamOf(event.text()));
}

Result<> CheckEncoding(const http::ResponseHead& head) {
  auto encoding = http::FindHeader(head.headers, "content-encoding");
  if (!encoding || *encoding == "identity") return {};
  return Fail(Code::kUnavailable,
              "The server compressed its answer ({}), which it was not asked to", *encoding);
}

Result<Delta> ReadAnswer(http::Response response, base::WallTime now, Endpoint endpoint) {
  if (response.head.status / 100 != 2) return std::unexpected(AnswerError(response, now));
  INFERQ_TRY(CheckEncoding(response.head));
  auto json = wire::ParseJson(response.body);
  if (!json) {
    return Fail(Code::kUnavailable,
                "The server's answer is not JSON; check that the address is that of an "
                "OpenAI-compatible API. It "
                "begins with: {}",
                Excerpt(response.body));
  }
  const bool embeddings = endpoint == Endpoint::kEmbeddings;
  auto completion = embeddings ? wire::ParseEmbeddingBody(*json) : wire::ParseCompletionBody(*json);
  if (!completion) {
    return Fail(Code::kUnavailable, "The server's answer has no {}. It begins with: {}",
                embeddings ? "data" : "choices", Excerpt(response.body));
  }
  INFERQ_ASSIGN(FinishReason reason, ReadFinishReason(completion->finish_reason));
  Delta delta;
  if (!embeddings) delta.text = std::move(completion->text);
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
