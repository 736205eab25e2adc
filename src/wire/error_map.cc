#include "wire/error_map.h"

#include <array>

#include "wire/api_error.h"
#include "wire/json.h"

namespace inferq::wire {

using base::Code;

namespace {

struct Row {
  Code code;
  HttpError http;
};

constexpr std::string_view kRequest = "invalid_request_error";
constexpr std::string_view kServer = "server_error";

constexpr std::array kTable = {
    Row{Code::kCancelled, {499, kRequest, "request_cancelled"}},
    Row{Code::kInvalidArgument, {400, kRequest, "invalid_request"}},
    Row{Code::kNotFound, {404, kRequest, ""}},
    Row{Code::kAlreadyExists, {409, kRequest, "conflict"}},
    Row{Code::kPermissionDenied, {403, kRequest, "permission_denied"}},
    Row{Code::kUnauthenticated, {401, kRequest, "invalid_api_key"}},
    Row{Code::kResourceExhausted, {429, "rate_limit_error", "rate_limit_exceeded"}},
    Row{Code::kFailedPrecondition, {409, kRequest, ""}},
    Row{Code::kAborted, {409, kRequest, "aborted"}},
    Row{Code::kOutOfRange, {416, kRequest, "out_of_range"}},
    Row{Code::kUnimplemented, {501, kServer, "not_implemented"}},
    Row{Code::kInternal, {500, kServer, "internal_error"}},
    Row{Code::kUnavailable, {503, kServer, "unavailable"}},
    Row{Code::kDataLoss, {500, kServer, "data_loss"}},
    Row{Code::kDeadlineExceeded, {504, kServer, "deadline_exceeded"}},
};

std::optional<std::string> MessageOf(JsonValue body) {
  if (auto error = body.Find("error")) {
    if (auto text = error->AsString()) return text;
    if (auto message = error->Find("message")) return message->AsString();
  }
  for (std::string_view key : {"message", "detail"}) {
    if (auto value = body.Find(key)) return value->AsString().value_or(CompactJson(*value));
  }
  return std::nullopt;
}

std::string Excerpt(std::string_view body) {
  constexpr size_t kMax = 300;
  if (body.size() <= kMax) return RepairUtf8(body);
  return RepairUtf8(body.substr(0, kMax)) + "…";
}

}  // namespace

HttpError ToHttp(Code code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row.http;
  }
  return {500, kServer, "internal_error"};
}

Code CodeOfStatus(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
    case 410:
      return Code::kNotFound;
    case 408:
    case 425:
      return Code::kUnavailable;
    case 409:
      return Code::kAborted;
    case 412:
      return Code::kFailedPrecondition;
    case 416:
      return Code::kOutOfRange;
    case 429:
      return Code::kResourceExhausted;
    case 499:
      return Code::kCancelled;
    case 405:
    case 501:
      return Code::kUnimplemented;
    default:
      break;
  }
  if (status >= 500 && status < 600) return Code::kUnavailable;
  if (status >= 400 && status < 500) return Code::kInvalidArgument;
  return Code::kInternal;
}

std::string ErrorEnvelope(const base::Error& error, std::string_view code) {
  ApiError told(error);
  if (!code.empty()) told.code = code;
  return ErrorEnvelope(told);
}

base::Error RemoteError(int status, std::string_view body) {
  std::string message;
  if (auto parsed = ParseJson(body)) message = MessageOf(*parsed).value_or("");
  if (message.empty()) message = body.empty() ? "no explanation" : Excerpt(body);
  return base::Error(CodeOfStatus(status),
                     fmt::format("The server answered {}: {}", status, message));
}

}  // namespace inferq::wire
