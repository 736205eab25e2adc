#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/json.h"

namespace inferq::wire {

// Changes of a JSON text that leave everything else byte for byte as it was: white space, escapes,
// spelling of numbers. For bodies and answers of others, which may be many megabytes long.

/// A part of a text and what stands there instead.
struct JsonSplice {
  std::string_view at;  ///< Of the text; empty: an insertion.
  std::string json;
};
/// @param splices  in the order of the text, not overlapping.
std::string SpliceJson(std::string_view text, const std::vector<JsonSplice>& splices);

/// The splices that make these edits of an object. A repeated key is changed wherever it stands;
/// new members come last, in order.
std::vector<JsonSplice> SplicesOf(JsonValue object, const std::vector<JsonEdit>& edits);
/// The object with the edits.
std::string SpliceJsonObject(JsonValue object, const std::vector<JsonEdit>& edits);

}  // namespace inferq::wire
