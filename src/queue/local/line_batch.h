#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "queue/local/group_commit.h"
#include "queue/local/journal.h"
#include "queue/local/line_states.h"
#include "queue/local/names.h"

namespace inferq::queue {

/// How far the lines of one lane have become tasks. Those that wait form the window: read ahead
/// from the index, so that the scheduler always sees the first ones.
struct LineCursor {
  NameId lane = 0;
  uint64_t next = 0;        ///< The first line that was not looked at.
  base::WallTime eligible;  ///< Of the next line of this lane.
  uint32_t waiting = 0;     ///< Tasks in the window.
  bool reading = false;     ///< The index is being read.
};

/// A batch of lines in memory: its record, which lines have ended, and a cursor for each lane.
/// Lines are numbered as in their file; the batch has those from plan.first_line on.
struct LineBatch {
  LineBatch(BatchRow r, NameId t)
      : row(std::move(r)), tenant(t), states(row.plan.lines - row.plan.first_line) {}

  BatchRow row;
  NameId tenant;
  LineStates states;  ///< From plan.first_line on.
  std::vector<LineCursor> cursors;
  uint64_t tasks = 0;             ///< Lines that are tasks now.
  bool dirty = false;             ///< Its record is to be written.
  GroupCommit::Group change = 0;  ///< Commit of the newest change that was acknowledged.

  model::TaskId IdOf(uint64_t line) const {
    return model::TaskId{row.first.value + (line - row.plan.first_line)};
  }
  uint64_t LineOf(model::TaskId id) const {
    return row.plan.first_line + (id.value - row.first.value);
  }
  model::TaskId last() const { return IdOf(row.plan.lines - 1); }
  /// nullopt: the line has no ending of its own.
  std::optional<model::State> OwnEnding(uint64_t line) const {
    return states.Get(line - row.plan.first_line);
  }
  /// Lines without an ending of their own.
  uint64_t open() const { return states.lines() - states.ended(); }
  bool all_ended() const { return row.cut ? tasks == 0 : open() == 0; }
};

}  // namespace inferq::queue
