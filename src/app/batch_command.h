#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq batch`: its subcommands. Construct before parsing, Execute after.
class BatchCommand {
 public:
  explicit BatchCommand(CLI::App& root);
  ~BatchCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
