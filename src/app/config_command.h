#pragma once

#include <memory>
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

class ConfigFlags;

/// `inferq config show`: effective values and where they come from. `inferq config check`: what is
/// wrong with a file. `inferq config docs`: the page docs/config.md. Construct before parsing,
/// Execute after.
class ConfigCommand {
 public:
  explicit ConfigCommand(CLI::App& root);
  ~ConfigCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  CLI::App* command_;
  CLI::App* show_;
  CLI::App* check_;
  std::string file_;
  bool json_ = false;
  std::unique_ptr<ConfigFlags> flags_;
};

}  // namespace inferq::app
