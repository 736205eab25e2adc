#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

class ConfigFlags;

/// `inferq serve`: files, batches and online requests over HTTP, until SIGTERM. Construct before
/// parsing, Execute after.
class ServeCommand {
 public:
  explicit ServeCommand(CLI::App& root);
  ~ServeCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  CLI::App* command_;
  std::unique_ptr<ConfigFlags> flags_;
};

}  // namespace inferq::app
