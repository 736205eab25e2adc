#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "queue/local/journal.h"

namespace inferq::app {

/// A task and an ended line of a batch as JSON, each with its line feed.
std::string TaskJson(const queue::SpecRow& spec, const queue::StateRow& state);
std::string LineJson(const queue::LineRow& line);

/// Gives `out` the tasks of a store, then the ended lines of its batches, in pieces of whole lines.
/// Ends with the first error of `out`.
base::Result<> ExportStore(const std::string& directory,
                           const std::function<base::Result<>(std::string_view)>& out);

}  // namespace inferq::app
