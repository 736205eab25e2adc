#include "testing/history_check.h"

#include "testing/history_checks.h"

namespace inferq::testing {

std::vector<std::string> CheckHistory(const History& history, const FinalState& final_state,
                                      const HistoryRules& rules) {
  Stories stories(history);
  CheckContext context{.history = history,
                       .stories = stories,
                       .final_state = final_state,
                       .rules = rules,
                       .records = {},
                       .breaches = {}};
  for (const model::TaskRecord& record : final_state.records) context.records[record.id] = &record;
  CheckSubmissions(context);
  CheckTasks(context);
  CheckOrder(context);
  return std::move(context.breaches);
}

}  // namespace inferq::testing
