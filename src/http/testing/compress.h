#pragma once

#include <string>
#include <string_view>

namespace inferq::http::testing {

/// One gzip member.
std::string Gzip(std::string_view text);
/// One zstd frame. @param window_log  of its window; 0: what the level has.
std::string Zstd(std::string_view text, int level = 3, int window_log = 0);

}  // namespace inferq::http::testing
