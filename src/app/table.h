#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace inferq::app {

/// Rows in aligned columns for people.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { AddRow(std::move(header)); }
  /// As many cells as the header has.
  void AddRow(std::vector<std::string> cells);
  /// Lines with their ends; two spaces between columns, none at the end of a line.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// The text without what could steer a terminal: control characters become '?'.
std::string Printable(std::string_view text);

/// "2026-11-24 15:30:12" in the local time zone; "-" when unset.
std::string LocalTime(std::optional<base::WallTime> time);

}  // namespace inferq::app
