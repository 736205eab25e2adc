#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq file`: its subcommands. Construct before parsing, Execute after.
class FileCommand {
 public:
  explicit FileCommand(CLI::App& root);
  ~FileCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
