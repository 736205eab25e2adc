#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "queue/local/journal.h"
#include "sqlite/database.h"

namespace inferq::queue {

/// What is done with a task or line; an error ends the visit and is its result.
using OnTask = std::function<base::Result<>(SpecRow, StateRow, std::string checkpoint)>;
using OnLine = std::function<base::Result<>(LineRow)>;

/// Shows all tasks in order of id. kDataLoss: a row is damaged or missing.
base::Result<> VisitTasks(sqlite::Database& db, const OnTask& on_task);

/// Shows one moment of a journal that may be in use: its tasks, then the ended lines of its batches
/// in order of batch and ending. Fails as sqlite::OpenReader, or as VisitTasks.
base::Result<> ReadJournal(const std::string& path, const OnTask& on_task, const OnLine& on_line);

}  // namespace inferq::queue
