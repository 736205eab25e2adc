#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "config/value.h"

namespace inferq::config {

/// A value as TOML has it; durations and sizes are still text.
using TomlValue = std::variant<bool, int64_t, double, std::string, Texts>;

struct TomlEntry {
  std::string key;  ///< Dotted: `listen` in `[server]` is "server.listen".
  TomlValue value;
  uint32_t line = 0;
};

/// One `[[name]]`.
struct TomlTable {
  std::vector<TomlEntry> entries;
  uint32_t line = 0;
};

struct TomlDocument {
  std::vector<TomlEntry> entries;
  std::map<std::string, std::vector<TomlTable>> tables;  ///< Those in double brackets, by name.
};

/// Reads TOML 1.0. kInvalidArgument: malformed, or values that no option has (dates, mixed arrays);
/// the message begins with "name:line: ".
base::Result<TomlDocument> ParseToml(std::string_view text, const std::string& name);

}  // namespace inferq::config
