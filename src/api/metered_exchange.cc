#include "api/metered_exchange.h"

namespace inferq::api {

using base::Result;
using runtime::Awaitable;

Awaitable<Result<std::string>> MeteredExchange::ReadBody(uint64_t limit) {
  auto body = co_await inner_.ReadBody(limit);
  if (body) bytes_received_ += body->size();
  co_return body;
}

Awaitable<Result<std::string>> MeteredExchange::NextPiece() {
  auto piece = co_await inner_.NextPiece();
  if (piece) bytes_received_ += piece->size();
  co_return piece;
}

void MeteredExchange::AddHeader(std::string name, std::string value) {
  inner_.AddHeader(std::move(name), std::move(value));
}

void MeteredExchange::BeginStatus(int status) {
  status_ = status;
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed());
  inner_.AddHeader("openai-processing-ms", std::to_string(ms.count()));
}

Awaitable<Result<>> MeteredExchange::Send(int status, http::Headers headers, std::string body) {
  BeginStatus(status);
  bytes_sent_ += body.size();
  return inner_.Send(status, std::move(headers), std::move(body));
}

Awaitable<Result<>> MeteredExchange::Begin(int status, http::Headers headers,
                                           std::optional<uint64_t> length) {
  BeginStatus(status);
  return inner_.Begin(status, std::move(headers), length);
}

Awaitable<Result<>> MeteredExchange::Write(std::string_view piece) {
  bytes_sent_ += piece.size();
  return inner_.Write(piece);
}

}  // namespace inferq::api
