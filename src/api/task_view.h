#pragma once

#include <string>
#include <vector>

#include "queue/queue.h"
#include "service/service.h"

namespace inferq::api {

/// The object "task".
std::string TaskJson(const service::TaskView& view);
std::string TaskPageJson(const service::TaskPage& page);
/// What a task waits for: the queue's explanation, and `reasons`, a sentence for each cause that
/// holds.
std::string ExplanationJson(const queue::Explanation& explanation);
/// The elements of a list of claimed tasks, without its brackets.
void AppendClaimedWork(std::string& out, const std::vector<service::ClaimedWork>& claimed);

}  // namespace inferq::api
