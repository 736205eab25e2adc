#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace inferq::base {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kCancelled:
      return "cancelled";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kNotFound:
      return "not_found";
    case Code::kAlreadyExists:
      return "already_exists";
    case Code::kPermissionDenied:
      return "permission_denied";
    case Code::kUnauthenticated:
      return "unauthenticated";
    case Code::kResourceExhausted:
      return "resource_exhausted";
    case Code::kFailedPrecondition:
      return "failed_precondition";
    case Code::kAborted:
      return "aborted";
    case Code::kOutOfRange:
      return "out_of_range";
    case Code::kUnimplemented:
      return "unimplemented";
    case Code::kInternal:
      return "internal";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kDataLoss:
      return "data_loss";
    case Code::kDeadlineExceeded:
      return "deadline_exceeded";
  }
  return "unknown";
}

bool IsRetryable(Code code) {
  return code == Code::kUnavailable || code == Code::kResourceExhausted || code == Code::kAborted ||
         code == Code::kDeadlineExceeded;
}

Error&& Error::WithRetryAfter(std::chrono::milliseconds wait) && {
  retry_after_ = wait;
  return std::move(*this);
}

Error&& Error::WithParam(std::string param) && {
  param_ = std::move(param);
  return std::move(*this);
}

Error&& Error::WithContext(std::string_view context) && {
  message_ = fmt::format("{}: {}", context, message_);
  return std::move(*this);
}

std::string Error::ToString() const { return fmt::format("{}: {}", CodeName(code_), message_); }

namespace {

Code CodeOfErrno(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
      return Code::kInvalidArgument;
    default:
      return Code::kUnavailable;
  }
}

}  // namespace

Error ErrnoError(int errno_value, std::string_view what) {
  std::string reason = std::generic_category().message(errno_value);
  return Error(CodeOfErrno(errno_value), fmt::format("{}: {}", what, reason));
}

}  // namespace inferq::base
