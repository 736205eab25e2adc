#include "api/query.h"
#include "api/routes.h"
#include "wire/file_object.h"
#include "wire/webhook_object.h"

namespace inferq::api {

using wire::ApiResult;

Awaitable<ApiResult<>> ListDeliveries(Call& call) {
  INFERQ_CO_ASSIGN(PageQuery asked, ReadPageQuery(call.request().query));
  INFERQ_CO_ASSIGN(auto page, co_await call.use_cases.ListDeliveries(call.here(), call.caller,
                                                                     asked.after, asked.limit));
  std::vector<wire::ListItem> items;
  for (const wire::DeliveryObject& delivery : page.records) {
    items.push_back({delivery.id, wire::DeliveryJson(delivery)});
  }
  co_await SendJson(call, wire::ListPage(items, page.has_more));
  co_return ApiResult<>();
}

}  // namespace inferq::api
