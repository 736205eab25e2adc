#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace inferq::api {

/// Another exchange, with a count of what passes and the time it takes. Adds openai-processing-ms.
class MeteredExchange final : public http::Exchange {
 public:
  explicit MeteredExchange(http::Exchange& inner)
      : inner_(inner), start_(inner.runtime().clock().Steady()) {}

  int status() const { return status_; }  ///< 0: no answer was begun.
  uint64_t bytes_received() const { return bytes_received_; }
  uint64_t bytes_sent() const { return bytes_sent_; }
  base::Micros elapsed() const { return inner_.runtime().clock().Steady() - start_; }

  const http::RequestHead& request() const override { return inner_.request(); }
  runtime::Runtime& runtime() override { return inner_.runtime(); }
  const std::shared_ptr<runtime::Cancellation>& gone() const override { return inner_.gone(); }
  std::optional<uint64_t> content_length() const override { return inner_.content_length(); }
  runtime::Awaitable<base::Result<std::string>> ReadBody(uint64_t limit) override;
  runtime::Awaitable<base::Result<std::string>> NextPiece() override;
  void AddHeader(std::string name, std::string value) override;
  runtime::Awaitable<base::Result<>> Send(int status, http::Headers headers,
                                          std::string body) override;
  runtime::Awaitable<base::Result<>> Begin(int status, http::Headers headers,
                                           std::optional<uint64_t> length) override;
  runtime::Awaitable<base::Result<>> Write(std::string_view piece) override;
  runtime::Awaitable<base::Result<>> End() override { return inner_.End(); }
  bool began() const override { return inner_.began(); }
  void Abort() override { inner_.Abort(); }

 private:
  void BeginStatus(int status);

  http::Exchange& inner_;
  base::SteadyTime start_;
  int status_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
};

}  // namespace inferq::api
