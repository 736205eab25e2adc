#pragma once

#include <deque>
#include <string>
#include <vector>

#include "config/config.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
class Option;
}  // namespace CLI

namespace inferq::app {

/// The flags of a command that reads a configuration: --config, and one for each declared option.
/// Construct before parsing; stays where it is until the command has been executed.
class ConfigFlags {
 public:
  ConfigFlags(CLI::App& command, const config::Schema& schema);
  ConfigFlags(const ConfigFlags&) = delete;
  ConfigFlags& operator=(const ConfigFlags&) = delete;

  /// The file (--config, else $INFERQ_CONFIG, else ./inferq.toml if there is one, else none), the
  /// process' environment, and the flags that were given.
  config::Sources sources() const;

 private:
  struct Entry {
    std::string key;
    CLI::Option* option;
    std::string text;
  };

  std::string file_;
  std::deque<Entry> entries_;  // CLI11 keeps pointers to the texts
};

}  // namespace inferq::app
