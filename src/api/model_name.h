#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"

namespace inferq::api {

/// What clients that can set nothing but the model's name say with it: "glm-4@ann!-200" is the
/// model "glm-4" for tenant "ann" with priority -200. Both endings may be missing.
struct ModelName {
  std::string model;
  std::optional<std::string> tenant{};
  std::optional<int> priority{};
};

/// A name that is offered is taken whole, whatever is in it; so is one that is not even without
/// endings. 400: the priority is no number from -1000 to 1000.
wire::ApiResult<ModelName> ParseModelName(std::string_view name,
                                          const std::vector<service::ModelView>& models);

/// The same for a request, whose tenant and priority it settles: the name's tenant must be that of
/// the key (403), and counts where there are no keys and neither path nor header names one; a
/// priority in the name goes before that of the header X-Inferq-Priority.
/// @return the model. 400: the header is no number from -1000 to 1000.
wire::ApiResult<std::string> SettleModel(Call& call, std::string_view name, int& priority);

}  // namespace inferq::api
