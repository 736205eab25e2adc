#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq run`: options, set-up, progress, exit code. Construct before parsing, Execute after.
class RunCommand {
 public:
  explicit RunCommand(CLI::App& root);
  ~RunCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
