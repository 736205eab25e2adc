#include "http/response_decoder.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace inferq::http {
namespace {

namespace beast = boost::beast;
using base::Code;
using base::Fail;
using beast::error_code;

constexpr size_t kMaxHead = 64u << 10;

// Bytes that are allowed but read differently by different programs: a line that goes on in the
// next one, a line end without CR, a NUL.
bool HeadIsAmbiguous(std::string_view head) {
  for (size_t i = 0; i < head.size(); ++i) {
    char c = head[i];
    if (c == '\0') return true;
    if (c != '\n') continue;
    if (i == 0 || head[i - 1] != '\r') return true;
    if (i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t')) return true;
  }
  return false;
}

bool AllDigits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

class ResponseDecoder::Parser final : public beast::http::basic_parser<false> {
 public:
  ResponseHead head;
  std::string body;
  uint64_t body_size = 0;
  bool framing_ok = true;

 private:
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                       error_code&) override {}
  void on_response_impl(int code, beast::string_view, int version, error_code&) override {
    head.status = code;
    version_ = version;
  }
  void on_field_impl(beast::http::field name, beast::string_view name_string,
                     beast::string_view value, error_code&) override {
    using beast::http::field;
    if (name == field::transfer_encoding) {
      framing_ok &=
          version_ == 11 && !has_encoding_ && !has_length_ && beast::iequals(value, "chunked");
      has_encoding_ = true;
    }
    if (name == field::content_length) {
      bool same = !has_length_ || length_ == std::string_view(value);
      framing_ok &= same && !has_encoding_ && AllDigits(value);
      has_length_ = true;
      length_ = std::string(value);
    }
    head.headers.push_back({std::string(name_string), std::string(value)});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>& length, error_code&) override {
    if (length) body.reserve(static_cast<size_t>(std::min<uint64_t>(*length, 1u << 20)));
  }
  size_t Take(beast::string_view bytes) {
    body.append(bytes.data(), bytes.size());
    body_size += bytes.size();
    return bytes.size();
  }
  size_t on_body_impl(beast::string_view bytes, error_code&) override { return Take(bytes); }
  void on_chunk_header_impl(uint64_t, beast::string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, beast::string_view bytes, error_code&) override {
    return Take(bytes);
  }
  void on_finish_impl(error_code&) override {}

  int version_ = 11;
  bool has_encoding_ = false;
  bool has_length_ = false;
  std::string length_;
};

ResponseDecoder::ResponseDecoder(uint64_t max_body) : max_body_(max_body) {}
ResponseDecoder::~ResponseDecoder() = default;

bool ResponseDecoder::head_done() const { return head_checked_; }
bool ResponseDecoder::done() const { return head_checked_ && parser_->is_done(); }
const ResponseHead& ResponseDecoder::head() const { return parser_->head; }
std::string ResponseDecoder::TakeBody() { return std::exchange(parser_->body, {}); }
uint64_t ResponseDecoder::body_size() const { return parser_ ? parser_->body_size : 0; }
bool ResponseDecoder::keep_alive() const { return parser_->keep_alive() && pending_.empty(); }

base::Result<> ResponseDecoder::Feed(std::string_view bytes) {
  got_any_ |= !bytes.empty();
  pending_.append(bytes);
  return ParsePending();
}

base::Result<> ResponseDecoder::FeedEnd() {
  error_code error;
  if (head_checked_ && !parser_->is_done()) parser_->put_eof(error);
  if (done() && !error) return {};
  return Fail(Code::kUnavailable, "the connection was closed in the middle of the answer");
}

base::Result<> ResponseDecoder::CheckHead() {
  std::string_view pending = pending_;
  size_t end = pending.find("\r\n\r\n");
  if (std::min(end, pending.size()) > kMaxHead) {
    return Fail(Code::kResourceExhausted, "the head of the answer is longer than {} bytes",
                kMaxHead);
  }
  if (end != pending.npos && HeadIsAmbiguous(pending.substr(0, end))) {
    return Fail(Code::kUnavailable,
                "the head of the answer is not proper HTTP (folded line, NUL or bare LF)");
  }
  return {};
}

base::Result<> ResponseDecoder::ParsePending() {
  while (!pending_.empty() && !done()) {
    if (!head_checked_) {
      INFERQ_TRY(CheckHead());
      if (!pending_.contains("\r\n\r\n")) return {};
    }
    if (!parser_) {
      parser_ = std::make_unique<Parser>();
      parser_->eager(true);
      parser_->body_limit(max_body_);
      parser_->header_limit(kMaxHead + 4);
    }
    error_code error;
    size_t used = parser_->put(boost::asio::const_buffer(pending_.data(), pending_.size()), error);
    pending_.erase(0, used);
    bool need_more = error == beast::http::error::need_more;
    if (error == beast::http::error::body_limit) {
      return Fail(Code::kResourceExhausted, "the answer is longer than {} bytes", max_body_);
    }
    if (error && !need_more) {
      return Fail(Code::kUnavailable, "the answer is not proper HTTP: {}", error.message());
    }
    if (!head_checked_ && parser_->is_header_done()) {
      if (!parser_->framing_ok) {
        return Fail(Code::kUnavailable, "the answer contradicts itself about its length");
      }
      if (parser_->head.status / 100 == 1) {
        parser_.reset();  // "100 Continue": the real one follows
        continue;
      }
      head_checked_ = true;
    }
    if (need_more || used == 0) return {};
  }
  return {};
}

}  // namespace inferq::http
