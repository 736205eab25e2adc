#pragma once

#include "model/task.h"
#include "wire/json.h"
#include "wire/locality.h"

namespace inferq::service {

/// What a request costs before anyone has run it: its prompt and the output that it allows.
uint64_t CostOf(const wire::PromptSurvey& survey);
/// The same, and the key of its prefix. `body` is the OpenAI request body.
void EstimateCost(model::TaskSpec& spec, wire::JsonValue body);

}  // namespace inferq::service
