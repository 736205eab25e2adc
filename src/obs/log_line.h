#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "obs/log.h"

namespace inferq::obs {

/// An event as one line without its end.
std::string JsonLine(base::WallTime now, Level level, std::string_view event,
                     std::initializer_list<Field> fields);
std::string TextLine(base::WallTime now, Level level, std::string_view event,
                     std::initializer_list<Field> fields);

/// Appends a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);

}  // namespace inferq::obs
