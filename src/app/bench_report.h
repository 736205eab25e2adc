#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/bench_stats.h"

namespace inferq::app {

/// What a benchmark found, in the order in which it was added; as a table for people, as Markdown
/// for a page of results, or as one JSON object. Keys carry their unit: "tasks_per_s", "submit_ms".
class Report {
 public:
  void Text(std::string key, std::string_view value);
  void Flag(std::string key, bool value);
  void Count(std::string key, uint64_t value);
  /// @param digits  behind the point.
  void Number(std::string key, double value, int digits = 1);
  /// null: not measured here.
  void Maybe(std::string key, std::optional<double> value, int digits = 1);
  /// Percentiles: {"count","p50","p90","p95","p99","p99_9","max"}.
  void Add(std::string key, const Latencies& latencies);

  /// On one line, without a line end.
  std::string Json() const;
  std::string Table() const;
  std::string Markdown() const;

 private:
  struct Value {
    std::string key;
    std::string json;
    std::string text;
  };
  struct Timing {
    std::string key;
    std::string json;
    std::vector<std::string> cells;
  };
  std::vector<Value> values_;
  std::vector<Timing> timings_;
};

}  // namespace inferq::app
