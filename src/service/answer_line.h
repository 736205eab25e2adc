#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "model/task.h"
#include "queue/queue.h"
#include "service/dispatcher.h"

namespace inferq::service {

/// The id of a line in output files, made of its task's.
std::string BatchRequestId(model::TaskId id);
/// The id of an attempt, for backends and logs.
std::string AttemptId(const queue::ClaimedTask& task);
int64_t UnixSeconds(base::WallTime time);

/// The response JSON of an answer: the backend's own where there is one.
std::string AnswerBody(const queue::ClaimedTask& task, const Work& work, engine::Delta answer,
                       base::WallTime now);
/// The output line of a task that got an answer, with its line end.
std::string AnswerLine(const queue::ClaimedTask& task, const Work& work, engine::Delta answer,
                       base::WallTime now);
/// The error line of a task that failed.
std::string ErrorLine(const queue::ClaimedTask& task, const std::string& custom_id,
                      const base::Error& error);
/// The error line of a task that ended without one of its own (cancelled, expired, given up by the
/// queue), with its line end. @param id  of the line.
std::string EndingLine(const std::string& id, const std::string& custom_id, model::State state,
                       const model::Outcome& outcome);

}  // namespace inferq::service
