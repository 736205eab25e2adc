#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/connection.h"
#include "http/content_decoder.h"
#include "http/request_decoder.h"
#include "http/server.h"

namespace inferq::http {

/// One request on a connection, and its answer.
class ServerExchange final : public Exchange {
 public:
  ServerExchange(Connection& connection, std::unique_ptr<RequestDecoder> decoder,
                 RequestHead request);
  ~ServerExchange() override;

  const RequestHead& request() const override { return request_; }
  runtime::Runtime& runtime() override;
  const std::shared_ptr<runtime::Cancellation>& gone() const override;
  std::optional<uint64_t> content_length() const override;
  runtime::Awaitable<base::Result<std::string>> ReadBody(uint64_t limit) override;
  runtime::Awaitable<base::Result<std::string>> NextPiece() override;
  void AddHeader(std::string name, std::string value) override;
  runtime::Awaitable<base::Result<>> Send(int status, Headers headers, std::string body) override;
  runtime::Awaitable<base::Result<>> Begin(int status, Headers headers,
                                           std::optional<uint64_t> length) override;
  runtime::Awaitable<base::Result<>> Write(std::string_view piece) override;
  runtime::Awaitable<base::Result<>> End() override;
  bool began() const override { return began_; }
  void Abort() override;

  /// Fires gone().
  void OnGone();
  /// What the handler left to do: an answer, or the rest of the body. @return whether the
  /// connection can carry another request.
  runtime::Awaitable<bool> Finish();

 private:
  runtime::Awaitable<base::Result<std::string>> ReadPiece();
  runtime::Awaitable<base::Result<std::string>> ReadDecoded();
  base::Result<> BeginDecoding();
  base::Result<> CountDecoder();
  runtime::Awaitable<base::Result<>> SendContinue();
  std::optional<base::SteadyTime> BodyDeadline() const;
  base::Result<> TakeMemory(size_t size);
  std::unexpected<base::Error> BodyError(base::Error error);
  bool BodyCanBeSkipped() const;
  base::Result<std::string> Head(int status, const Headers& headers,
                                 std::optional<uint64_t> length);
  runtime::Awaitable<void> AnswerForHandler();

  Connection& connection_;
  std::unique_ptr<RequestDecoder> decoder_;
  const RequestHead request_;
  std::shared_ptr<runtime::Cancellation> gone_;
  mutable bool watched_ = false;  // gone() was asked for

  bool expects_continue_;
  uint64_t body_received_ = 0;
  size_t body_read_ = 4u << 10;  // bytes of a body to ask for at once
  base::Micros body_waited_{0};  // for the client alone
  uint64_t body_memory_ = 0;
  std::optional<base::Error> body_error_;
  const base::Result<ContentCoding> coding_;
  std::unique_ptr<ContentDecoder> content_;  // once a compressed body is read
  uint64_t content_memory_ = 0;              // part of body_memory_

  Headers headers_;
  bool began_ = false;
  bool ended_ = false;
  bool keep_alive_;
  bool has_body_ = true;              // the answer: not to HEAD, and by its status
  std::optional<uint64_t> to_write_;  // of a told length
};

/// The first line and the headers that every answer has, each with its line end.
std::string AnswerHead(int status, std::string_view date);

}  // namespace inferq::http
