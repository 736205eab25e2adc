#include "app/table.h"

#include <algorithm>
#include <ctime>

#include "base/check.h"

namespace inferq::app {
namespace {

// Characters; those that take two columns count as one.
size_t Width(std::string_view utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & '\xC0') != '\x80'; }));
}

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  INFERQ_CHECK(rows_.empty() || cells.size() == rows_.front().size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Text() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - Width(row[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return out;
}

std::string LocalTime(std::optional<base::WallTime> time) {
  if (!time) return "-";
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time->time_since_epoch()).count();
  std::tm parts{};
  if (!localtime_r(&seconds, &parts)) return "-";
  char text[32];
  size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return {text, size};
}

}  // namespace inferq::app
