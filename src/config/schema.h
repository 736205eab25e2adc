#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/value.h"

namespace inferq::config {

/// When a change of an option takes effect.
enum class Apply : uint8_t { kRestart, kLive };

/// One option, declared once: the TOML key, the environment variable, the flag, the checks and the
/// documentation come from this.
struct Option {
  std::string key;             ///< "server.listen"; in a repeated table "name".
  std::string sentence;        ///< What it is for, and the trade-off.
  Value standard;              ///< The default. Its type is the option's.
  std::optional<Value> min{};  ///< Of the same type; both bounds are allowed values.
  std::optional<Value> max{};
  std::vector<std::string> choices{};  ///< Of a text; empty: any.
  std::string alias{};                 ///< Another flag, "--listen".
  Apply apply = Apply::kRestart;
  bool required = false;  ///< There is no default; for options of repeated tables.
  /// A text that nobody may see: given by the name of a file (KEY_file) or of an environment
  /// variable (KEY_env) that holds it, never itself.
  bool secret = false;
};

/// Options of every `[[name]]` of the file.
struct Table {
  std::string name;
  std::string sentence;
  std::vector<Option> options;
};

/// What can be configured. Declared by the code that uses it, unchanged afterwards.
struct Schema {
  std::vector<Option> options;
  std::vector<Table> tables;
};

/// "INFERQ_SERVER_IO_THREADS" of "server.io_threads".
std::string EnvironmentName(std::string_view key);
/// "--server-io-threads" of "server.io_threads".
std::string FlagName(std::string_view key);
/// The keys that set the option: its own, or KEY_file and KEY_env of a secret.
std::vector<std::string> KeysOf(const Option& option);

/// Bounds and choices. The message goes behind the key: "is 5000; it must be 0 to 1024".
base::Result<> CheckValue(const Option& option, const Value& value);
/// "0 to 1024", "auto, json or text"; empty: anything of the type.
std::string AllowedValues(const Option& option);
/// The sentence, and what is allowed.
std::string HelpOf(const Option& option);
/// The candidate that `word` was probably meant to be; empty when none is like it.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace inferq::config
