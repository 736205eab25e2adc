#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/task.h"
#include "wire/api_error.h"

namespace inferq::wire {

/// A task as clients see it: its record, and what stands elsewhere.
struct TaskObject {
  const model::TaskRecord& record;
  std::string_view kind{};      ///< "": work for a model.
  std::string_view endpoint{};  ///< Of work for a model; "" when it is not known.
  std::string_view model{};
  std::string_view batch_id{};  ///< "": stands alone.
  /// The stored JSON of how it ended, as the record's state says a result or an error; "" is none.
  std::string_view ending{};
};
/// The object "task": every field, null where there is no value.
void AppendTask(std::string& out, const TaskObject& task);

/// `{"object":"list","data":[{"id"},…]}` for tasks that were just made.
std::string CreatedTasksJson(const std::vector<model::TaskId>& ids);
/// `{"object":"list","data":[…],"first_id","last_id","has_more"}`, begun with `data` and ended.
std::string TaskListJson(const std::vector<TaskObject>& tasks, bool has_more);

/// The stored JSON of an error: `{"code","message"}`.
std::string TaskErrorJson(std::string_view code, std::string_view message);

/// A change of a live task.
struct TaskPatch {
  std::optional<int> priority{};
  std::optional<std::optional<base::WallTime>> deadline{};  ///< Set to nullopt: none any more.
};
/// At least one field. 400 else.
ApiResult<TaskPatch> ParseTaskPatch(std::string_view body);

/// Which single tasks a cancel means; at least one is set.
struct TaskSelection {
  std::optional<model::State> status{};
  std::string kind{};
};
ApiResult<TaskSelection> ParseTaskSelection(std::string_view body);

/// 400, param "status" or as `param` says.
ApiResult<model::State> ParseStatus(std::string_view name, std::string_view param);

/// The version that If-Match names: "7" in quotes or without. nullopt: "*".
ApiResult<std::optional<model::Version>> ParseIfMatch(std::string_view header);

}  // namespace inferq::wire
