#pragma once

#include <string>

#include "config/schema.h"

namespace inferq::config {

/// The page of all options, Markdown.
std::string MakeReference(const Schema& schema);

}  // namespace inferq::config
