#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

class ConfigFlags;

/// `inferq config show`: effective values and where they come from. `inferq config docs`: the page
/// docs/config.md. Construct before parsing, Execute after.
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
  std::unique_ptr<ConfigFlags> flags_;
};

}  // namespace inferq::app
