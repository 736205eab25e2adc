#include "api/query.h"
#include "api/routes.h"
#include "wire/file_object.h"
#include "wire/webhook_object.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

constexpr uint32_t kMaxDeliveries = 100;  // of one page
constexpr uint32_t kDeliveries = 20;

}  // namespace

Awaitable<ApiResult<>> ListDeliveries(Call& call) {
  std::string_view query = call.request().query;
  INFERQ_CO_ASSIGN(auto after, FindParam(query, "after"));
  INFERQ_CO_ASSIGN(uint32_t limit, IntegerParam(query, "limit", 1, kMaxDeliveries, kDeliveries));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListDeliveries(call.here(), call.caller,
                                                                     after.value_or(""), limit));
  std::vector<wire::ListItem> items;
  for (const wire::DeliveryObject& delivery : page.records) {
    items.push_back({delivery.id, wire::DeliveryJson(delivery)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

}  // namespace inferq::api
