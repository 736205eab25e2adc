#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "service/ingest/line_source.h"

namespace inferq::ingest {

/// For tests: reads a text in pieces of at most `piece` bytes.
inline ReadBytes ReadText(std::string text, size_t piece = SIZE_MAX) {
  return [text = std::move(text), piece, at = size_t{0}](
             char* out, size_t size) mutable -> base::Result<size_t> {
    size_t n = std::min({piece, size, text.size() - at});
    text.copy(out, n, at);
    at += n;
    return n;
  };
}

}  // namespace inferq::ingest
