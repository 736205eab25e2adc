#pragma once

// Parts of CheckHistory, see history_check.h; nobody else needs this.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "testing/history_check.h"
#include "testing/history_stories.h"

namespace inferq::testing {

/// What a part reads, and where it puts what it finds.
struct CheckContext {
  const History& history;
  const Stories& stories;
  const FinalState& final_state;
  const HistoryRules& rules;
  std::map<model::TaskId, const model::TaskRecord*> records;
  std::vector<std::string> breaches;
};

/// A part, with short names for all that.
class CheckPart {
 protected:
  explicit CheckPart(CheckContext& context)
      : stories_(context.stories),
        final_(context.final_state),
        rules_(context.rules),
        records_(context.records),
        context_(context) {}

  template <class... Args>
  void Breach(fmt::format_string<Args...> format, Args&&... args) {
    context_.breaches.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  size_t end() const { return context_.history.entries().size(); }

  const Stories& stories_;
  const FinalState& final_;
  const HistoryRules& rules_;
  const std::map<model::TaskId, const model::TaskRecord*>& records_;

 private:
  CheckContext& context_;
};

void CheckSubmissions(CheckContext& context);  ///< I1, I4, and the counts of I7.
void CheckTasks(CheckContext& context);        ///< One by one: I1 to I3, I5, I6, I8, I10, I11.
void CheckOrder(CheckContext& context);        ///< Between tasks: caps (I7) and order (I9).

}  // namespace inferq::testing
