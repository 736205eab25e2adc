#include "api/batch_view.h"

#include "wire/batch_extension.h"
#include "wire/batch_object.h"

namespace inferq::api {

namespace {

std::optional<wire::BatchEstimate> EstimateOf(const service::BatchView& view, base::WallTime now) {
  if (!view.left) return std::nullopt;
  return wire::BatchEstimate{.p50 = view.left->p50,
                             .p90 = view.left->p90,
                             .finish_at = now + view.left->p50,
                             .ended_lines = view.left->lines,
                             .window = view.left->window,
                             .tokens_per_second = view.left->tokens_per_second};
}

}  // namespace

std::string BatchViewJson(const service::BatchView& view, base::WallTime now) {
  return wire::BatchJson(view.record,
                         {.total = view.total, .completed = view.succeeded, .failed = view.failed},
                         wire::BatchExtension(view.record, EstimateOf(view, now)));
}

Awaitable<void> SendBatch(Call& call, service::BatchView view) {
  call.exchange.AddHeader("etag", fmt::format("\"{}\"", view.record.version));
  co_await SendJson(call, BatchViewJson(view, call.here().clock().Wall()));
}

}  // namespace inferq::api
