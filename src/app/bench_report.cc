#include "app/bench_report.h"

#include <fmt/ranges.h>

#include "app/progress.h"
#include "app/table.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

struct Point {
  const char* key;
  double part;
};
constexpr Point kPoints[] = {{"p50", 0.5},  {"p90", 0.9},     {"p95", 0.95},
                             {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1.0}};

const std::vector<std::string> kTimingHeader = {"latency", "count", "p50",   "p90",
                                                "p95",     "p99",   "p99.9", "max"};

std::string Label(std::string key) {
  std::ranges::replace(key, '_', ' ');
  return key;
}

std::string MarkdownRow(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

}  // namespace

void Report::Text(std::string key, std::string_view value) {
  values_.push_back({std::move(key), wire::JsonString(value), std::string(value)});
}

void Report::Flag(std::string key, bool value) {
  values_.push_back({std::move(key), value ? "true" : "false", value ? "yes" : "no"});
}

void Report::Count(std::string key, uint64_t value) {
  values_.push_back({std::move(key), std::to_string(value), WithCommas(value)});
}

void Report::Number(std::string key, double value, int digits) {
  std::string json = fmt::format("{:.{}f}", value, digits);
  bool large = value >= 10'000;
  std::string text = large ? WithCommas(static_cast<uint64_t>(value)) : json;
  values_.push_back({std::move(key), std::move(json), std::move(text)});
}

void Report::Maybe(std::string key, std::optional<double> value, int digits) {
  if (value) return Number(std::move(key), *value, digits);
  values_.push_back({std::move(key), "null", "-"});
}

void Report::Add(std::string key, const Latencies& latencies) {
  std::string json = fmt::format(R"({{"count":{})", latencies.count());
  std::vector<std::string> cells{Label(key), WithCommas(latencies.count())};
  for (const Point& point : kPoints) {
    cells.push_back(fmt::format("{:.3f}", latencies.Percentile(point.part)));
    json += fmt::format(R"(,"{}":{})", point.key, cells.back());
  }
  timings_.push_back({std::move(key), json + "}", std::move(cells)});
}

std::string Report::Json() const {
  std::string json;
  auto add = [&json](const std::string& key, const std::string& value) {
    json += fmt::format(R"({}"{}":{})", json.empty() ? "{" : ",", key, value);
  };
  for (const Value& value : values_) add(value.key, value.json);
  for (const Timing& timing : timings_) add(timing.key, timing.json);
  return json + "}";
}

std::string Report::Table() const {
  app::Table values({"measure", "value"});
  for (const Value& value : values_) values.AddRow({Label(value.key), value.text});
  std::string text = values.Text();
  if (timings_.empty()) return text;
  app::Table timings(kTimingHeader);
  for (const Timing& timing : timings_) timings.AddRow(timing.cells);
  return text + "\n" + timings.Text();
}

std::string Report::Markdown() const {
  std::string text = "| measure | value |\n| --- | --: |\n";
  for (const Value& value : values_) text += MarkdownRow({Label(value.key), value.text});
  if (timings_.empty()) return text;
  text += "\n" + MarkdownRow(kTimingHeader) + "| --- | --: | --: | --: | --: | --: | --: | --: |\n";
  for (const Timing& timing : timings_) text += MarkdownRow(timing.cells);
  return text;
}

}  // namespace inferq::app
