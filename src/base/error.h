#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace inferq::base {

/// What the caller should do about a failure (the canonical codes of gRPC and Abseil). The message
/// of the Error says what happened.
enum class Code : uint8_t {
  kCancelled,           ///< The caller asked for it.
  kInvalidArgument,     ///< The request is wrong and stays wrong: mend it.
  kNotFound,            ///< The named thing does not exist (or is not the caller's).
  kAlreadyExists,       ///< Same name or key, other content.
  kPermissionDenied,    ///< Known caller, not allowed.
  kUnauthenticated,     ///< Unknown caller.
  kResourceExhausted,   ///< A limit is reached: wait (retry_after), then try again.
  kFailedPrecondition,  ///< The state does not allow it: change the state first.
  kAborted,             ///< Lost a race (stale fence or version): read again, then decide.
  kOutOfRange,          ///< Past the end.
  kUnimplemented,       ///< Not offered here.
  kInternal,            ///< Our bug, or a library's.
  kUnavailable,         ///< Not reachable now: try again with backoff.
  kDataLoss,            ///< Bytes are missing or corrupt.
  kDeadlineExceeded,    ///< Too late.
};

/// The canonical name in snake case, for example "invalid_argument".
std::string_view CodeName(Code code);

/// True when the same request may succeed later without a change.
bool IsRetryable(Code code);

/// A failure: a code, a sentence with ids and values, and for kResourceExhausted and kUnavailable
/// possibly how long to wait.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  /// 0 when nothing is known.
  std::chrono::milliseconds retry_after() const { return retry_after_; }
  /// The input field that is wrong, empty when none is, for example "body.max_tokens".
  const std::string& param() const { return param_; }

  Error&& WithRetryAfter(std::chrono::milliseconds wait) &&;
  Error&& WithParam(std::string param) &&;
  /// Puts "context: " before the message.
  Error&& WithContext(std::string_view context) &&;

  /// "code: message"
  std::string ToString() const;

 private:
  Code code_;
  std::string message_;
  std::string param_;
  std::chrono::milliseconds retry_after_{0};
};

template <class T = void>
using Result = std::expected<T, Error>;

/// Returns a failure from a function that yields Result:
/// `return Fail(Code::kNotFound, "task {} does not exist", id);`
template <class... Args>
std::unexpected<Error> Fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

/// Describes `errno`-style failures: "open /x: No space left on device". Maps ENOSPC, EDQUOT and
/// EMFILE to kResourceExhausted, ENOENT to kNotFound, EACCES and EPERM to kPermissionDenied, others
/// to kUnavailable.
Error ErrnoError(int errno_value, std::string_view what);

}  // namespace inferq::base

/// Hands a failure to the caller: `INFERQ_TRY(file->Sync());`
#define INFERQ_TRY(expr)                                         \
  do {                                                           \
    if (auto inferq_result_ = (expr); !inferq_result_)           \
      return std::unexpected(std::move(inferq_result_).error()); \
  } while (false)

/// The same inside a coroutine.
#define INFERQ_CO_TRY(expr)                                         \
  do {                                                              \
    if (auto inferq_result_ = (expr); !inferq_result_)              \
      co_return std::unexpected(std::move(inferq_result_).error()); \
  } while (false)

#define INFERQ_CONCAT_IMPL_(a, b) a##b
#define INFERQ_CONCAT_(a, b) INFERQ_CONCAT_IMPL_(a, b)

/// Binds the value or hands the failure on: `INFERQ_ASSIGN(auto file, fs.Open(path));`
#define INFERQ_ASSIGN(lhs, expr) \
  INFERQ_ASSIGN_(INFERQ_CONCAT_(inferq_result_, __LINE__), lhs, expr, return)
#define INFERQ_CO_ASSIGN(lhs, expr) \
  INFERQ_ASSIGN_(INFERQ_CONCAT_(inferq_result_, __LINE__), lhs, expr, co_return)
#define INFERQ_ASSIGN_(tmp, lhs, expr, ret)              \
  auto tmp = (expr);                                     \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  lhs = *std::move(tmp)
