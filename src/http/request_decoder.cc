#include "http/request_decoder.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

namespace inferq::http {
namespace {

namespace beast = boost::beast;
using base::Code;
using base::Fail;
using base::Result;
using beast::error_code;

}  // namespace

class RequestDecoder::Parser final : public beast::http::basic_parser<true> {
 public:
  std::string method;
  std::string target;
  int minor_version = 1;
  Headers headers;
  std::string body;
  uint64_t body_size = 0;

 private:
  void on_request_impl(beast::http::verb, beast::string_view method_string,
                       beast::string_view target_string, int version, error_code&) override {
    method = std::string(method_string);
    target = std::string(target_string);
    minor_version = version % 10;
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    if (!is_header_done()) headers.push_back({std::string(name), std::string(value)});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
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
};

RequestDecoder::RequestDecoder(std::unique_ptr<Parser> parser) : parser_(std::move(parser)) {}
RequestDecoder::~RequestDecoder() = default;

Result<std::unique_ptr<RequestDecoder>> RequestDecoder::Make(std::string_view head) {
  auto parser = std::make_unique<Parser>();
  parser->header_limit(std::numeric_limits<uint32_t>::max());  // the caller has one
  parser->body_limit(boost::none);
  parser->eager(true);
  error_code error;
  const size_t used = parser->put(boost::asio::const_buffer(head.data(), head.size()), error);
  if ((error && error != beast::http::error::need_more) || used != head.size() ||
      !parser->is_header_done()) {
    return Fail(Code::kInvalidArgument, "the head of the request is malformed: {}",
                error.message());
  }
  return std::unique_ptr<RequestDecoder>(new RequestDecoder(std::move(parser)));
}

const std::string& RequestDecoder::method() const { return parser_->method; }
const std::string& RequestDecoder::target() const { return parser_->target; }
int RequestDecoder::minor_version() const { return parser_->minor_version; }
Headers& RequestDecoder::headers() { return parser_->headers; }
bool RequestDecoder::keep_alive() const { return parser_->keep_alive(); }
bool RequestDecoder::done() const { return parser_->is_done(); }
std::string RequestDecoder::TakeBody() { return std::exchange(parser_->body, {}); }

std::optional<uint64_t> RequestDecoder::content_length() const {
  if (parser_->chunked()) return std::nullopt;
  return parser_->content_length().value_or(0);
}

uint64_t RequestDecoder::remaining() const {
  return content_length().value_or(parser_->body_size) - parser_->body_size;
}

Result<size_t> RequestDecoder::Feed(std::string_view bytes) {
  if (done() || bytes.empty()) return 0;
  error_code error;
  const size_t used = parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  const bool need_more = error == beast::http::error::need_more;
  if (error && !need_more)
    return Fail(Code::kInvalidArgument, "the chunks of the body are malformed: {}",
                error.message());
  if (need_more && bytes.size() - used > kMaxChunkHead) {
    return Fail(Code::kInvalidArgument,
                "the head of a chunk, or the trailers, are longer than {} bytes", kMaxChunkHead);
  }
  return used;
}

}  // namespace inferq::http
