#include "app/webhook_poster.h"

#include "app/version.h"
#include "http/asio_dialer.h"
#include "http/webhook_signature.h"

namespace inferq::app {

using base::Result;

Result<std::unique_ptr<WebhookPoster>> WebhookPoster::Make(runtime::Runtime& runtime,
                                                           http::Egress egress) {
  INFERQ_ASSIGN(auto dialer, http::MakeAsioDialer(runtime, {}, egress));
  return std::unique_ptr<WebhookPoster>(new WebhookPoster(runtime, std::move(dialer)));
}

runtime::Awaitable<Result<int>> WebhookPoster::Post(service::WebhookCall call) {
  INFERQ_CO_ASSIGN(auto signer, http::WebhookSigner::Make(call.secret));
  http::Request request;
  request.method = "POST";
  request.url = std::move(call.url);
  request.headers = {{"Content-Type", "application/json"},
                     {"User-Agent", fmt::format("inferq/{}", kVersion)},
                     {"webhook-id", call.id},
                     {"webhook-timestamp", http::WebhookTimestamp(call.time)},
                     {"webhook-signature", signer.Sign(call.id, call.time, call.payload)}};
  request.body = std::move(call.payload);
  request.deadline = call.deadline;
  request.cancel = std::move(call.cancel);
  INFERQ_CO_ASSIGN(auto answer, co_await client_.Open(std::move(request)));
  co_return answer->head().status;
}

}  // namespace inferq::app
