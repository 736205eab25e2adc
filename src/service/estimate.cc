#include "service/estimate.h"

#include <algorithm>

namespace inferq::service {

uint64_t CostOf(const wire::PromptSurvey& survey) {
  constexpr int64_t kUnboundedOutput = 256;
  int64_t output = survey.output_limit.value_or(kUnboundedOutput);
  return survey.tokens + static_cast<uint64_t>(std::max<int64_t>(output, 1));
}

void EstimateCost(model::TaskSpec& spec, wire::JsonValue body) {
  wire::PromptSurvey survey = wire::SurveyPrompt(body);
  spec.cost = CostOf(survey);
  spec.locality = survey.locality;
}

}  // namespace inferq::service
