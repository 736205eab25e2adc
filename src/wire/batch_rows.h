#pragma once

#include "model/row_input.h"
#include "wire/api_error.h"

namespace inferq::wire {

inline constexpr size_t kMaxRowText = 32u
                                      << 10;  ///< Bytes of `template`, `system` and `body` each.

/// The parameters of a batch's creation that say how rows become requests: `input_format`, and with
/// it `template`, `system`, `model` and `body`. Errors name the parameter.
ApiResult<model::RowInput> ReadRowInput(JsonValue create);

}  // namespace inferq::wire
