#include "api/call.h"

namespace inferq::api {

wire::ApiError BodyError(const base::Error& error, uint64_t limit) {
  wire::ApiError told(error);
  switch (error.code()) {
    case base::Code::kOutOfRange:
      told = wire::BadRequest(
          error.param().empty()
              ? fmt::format("The request body is larger than the {} bytes that are taken here.",
                            limit)
              : error.message(),
          error.param(), "request_too_large");
      told.status = 413;
      break;
    case base::Code::kUnimplemented:
      told = wire::BadRequest(error.message(), "content-encoding", "unsupported_content_encoding");
      told.status = 415;
      break;
    case base::Code::kResourceExhausted:  // of the server, not of this client
      told = wire::ApiError(base::Error(base::Code::kUnavailable, error.message()));
      break;
    case base::Code::kDeadlineExceeded:
      told.status = 408;
      told.type = "invalid_request_error";
      break;
    default:
      break;
  }
  return told;
}

wire::ApiError EditError(const base::Error& error) {
  wire::ApiError told(error);
  if (error.code() != base::Code::kAborted) return told;
  told.status = 412;
  told.code = "precondition_failed";
  told.param = "If-Match";
  return told;
}

}  // namespace inferq::api
