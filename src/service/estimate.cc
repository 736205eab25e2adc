#include "service/estimate.h"

#include <algorithm>

#include "wire/locality.h"

namespace inferq::service {

void EstimateCost(model::TaskSpec& spec, wire::JsonValue body) {
  constexpr int64_t kUnboundedOutput = 256;
  auto limit = body.Find("max_completion_tokens");
  if (!limit || limit->is_null()) limit = body.Find("max_tokens");
  int64_t output = limit ? limit->AsInteger().value_or(kUnboundedOutput) : kUnboundedOutput;
  spec.cost =
      wire::EstimatePromptTokens(body) + static_cast<uint64_t>(std::max<int64_t>(output, 1));
  spec.locality = wire::LocalityOf(body);
}

}  // namespace inferq::service
