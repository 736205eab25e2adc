#include "app/bench_connection.h"

#include <fmt/format.h>
#include <strings.h>

#include <charconv>
#include <iterator>

namespace inferq::app {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr base::Micros kConnectTimeout = 10s;
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kLength = "content-length:";

std::unexpected<base::Error> NoAnswer(std::string_view text) {
  return base::Fail(Code::kUnavailable, "not an answer with a Content-Length: {}",
                    text.substr(0, 100));
}

template <class T>
bool ReadNumber(std::string_view text, T& out) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
}

// The value of Content-Length with what follows it; empty where there is none.
std::string_view LengthIn(std::string_view head) {
  for (size_t at = head.find("\r\n"); at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
    std::string_view line = head.substr(at + 2);
    bool here = line.size() > kLength.size() &&
                ::strncasecmp(line.data(), kLength.data(), kLength.size()) == 0;
    if (here) return line.substr(kLength.size());
  }
  return {};
}

}  // namespace

Result<AnswerHead> ParseAnswerHead(std::string_view text) {
  AnswerHead head{.size = text.size()};
  bool status = text.starts_with("HTTP/1.1 ") && ReadNumber(text.substr(9), head.status);
  if (!status || !ReadNumber(LengthIn(text), head.body_length)) return NoAnswer(text);
  return head;
}

BenchConnection::BenchConnection(runtime::Runtime& runtime, runtime::Dialer& dialer,
                                 const BenchTarget& target,
                                 std::shared_ptr<runtime::Cancellation> cancel)
    : runtime_(runtime), dialer_(dialer), target_(target), cancel_(std::move(cancel)) {
  head_start_ =
      fmt::format(" HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", target.authority);
  if (!target.api_key.empty()) {
    head_start_ += fmt::format("Authorization: Bearer {}\r\n", target.api_key);
  }
  head_start_ += "Content-Length: ";
}

Awaitable<Result<BenchAnswer>> BenchConnection::Post(std::string_view path, std::string_view body) {
  if (!stream_) INFERQ_CO_TRY(co_await Connect());
  runtime::CancelHook hook(cancel_, [this] { stream_->Close(); });
  auto answer = co_await Exchange(path, body);
  if (!answer) stream_.reset();
  co_return answer;
}

Awaitable<Result<>> BenchConnection::Connect() {
  base::SteadyTime deadline = runtime_.clock().Steady() + kConnectTimeout;
  INFERQ_CO_ASSIGN(stream_, co_await dialer_.Dial(target_.address, deadline, cancel_));
  in_size_ = 0;
  co_return Result<>{};
}

Awaitable<Result<BenchAnswer>> BenchConnection::Exchange(std::string_view path,
                                                         std::string_view body) {
  head_.clear();
  head_.append("POST ").append(target_.base).append(path).append(head_start_);
  fmt::format_to(std::back_inserter(head_), "{}\r\n\r\n", body.size());
  INFERQ_CO_TRY(co_await stream_->Write(head_, body));
  co_return co_await ReadAnswer();
}

// A request goes out only when the answer before it is there, so nothing comes behind an answer.
Awaitable<Result<BenchAnswer>> BenchConnection::ReadAnswer() {
  in_size_ = 0;
  size_t end = std::string_view::npos;
  while ((end = std::string_view(in_.data(), in_size_).find(kHeadEnd)) == std::string_view::npos) {
    INFERQ_CO_TRY(co_await ReadMore());
  }
  INFERQ_CO_ASSIGN(AnswerHead head,
                   ParseAnswerHead(std::string_view(in_.data(), end + kHeadEnd.size())));
  while (in_size_ < head.size + head.body_length) INFERQ_CO_TRY(co_await ReadMore());
  co_return BenchAnswer{.status = head.status,
                        .body = std::string_view(in_.data() + head.size, head.body_length)};
}

Awaitable<Result<>> BenchConnection::ReadMore() {
  if (in_.size() < in_size_ + kReadBytes) in_.resize(in_size_ + 2 * kReadBytes);
  std::span<char> room(in_.data() + in_size_, in_.size() - in_size_);
  INFERQ_CO_ASSIGN(size_t size, co_await stream_->Read(room));
  if (size == 0) co_return base::Fail(Code::kUnavailable, "the server closed the connection");
  in_size_ += size;
  co_return Result<>{};
}

}  // namespace inferq::app
