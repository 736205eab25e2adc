#pragma once

#include <string>

#include "service/run_job.h"

namespace inferq::app {

/// "1,234,567"
std::string WithCommas(uint64_t n);
/// "7.3 s", "12:05", "3:04:05", "2d 03:04"
std::string Duration(double seconds);

/// One line of at most `width` columns for a terminal:
/// "[#####-----]  512/1,000  3 failed  812 tok/s  0:42 left"
std::string ProgressBar(const service::RunProgress& progress, int width);
/// One line for a log: "512 of 1,000 lines done (3 failed), 812 tok/s, about 0:42 left"
std::string ProgressLine(const service::RunProgress& progress);
/// One JSON object for a program; keys and units are documented in docs/run.md.
std::string ProgressJson(const service::RunProgress& progress);
/// The last words of a run, several lines for a person.
std::string SummaryText(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors);
/// The same as one JSON object.
std::string SummaryJson(const service::RunSummary& summary, const std::string& output,
                        const std::string& errors);

}  // namespace inferq::app
