#include <algorithm>

#include "api/routes.h"
#include "wire/file_object.h"
#include "wire/models.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

wire::ModelObject ToObject(const service::ModelView& model) {
  return {.id = model.name, .created = wire::UnixSeconds(model.since), .owned_by = model.owner};
}

}  // namespace

Awaitable<ApiResult<>> ListModels(Call& call) {
  std::vector<wire::ModelObject> models;
  std::ranges::transform(call.use_cases.models(), std::back_inserter(models), ToObject);
  co_await SendJson(call, wire::ModelListJson(models));
  co_return ApiResult<>();
}

Awaitable<ApiResult<>> GetModel(Call& call) {
  const auto& models = call.use_cases.models();
  auto found = std::ranges::find(models, call.id, &service::ModelView::name);
  if (found == models.end()) {
    wire::ApiError error(base::Error(
        base::Code::kNotFound,
        fmt::format("The model '{}' does not exist; GET /v1/models lists those that do.",
                    call.id)));
    error.param = "model";
    error.code = "model_not_found";
    co_return std::unexpected(std::move(error));
  }
  co_await SendJson(call, wire::ModelJson(ToObject(*found)));
  co_return ApiResult<>();
}

}  // namespace inferq::api
