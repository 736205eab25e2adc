#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq bench`: its subcommands. Construct before parsing, Execute after.
class BenchCommand {
 public:
  explicit BenchCommand(CLI::App& root);
  ~BenchCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Case;
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
