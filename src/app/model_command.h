#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq model inspect`, `bench` and `list`. Construct before parsing, Execute after.
class ModelCommand {
 public:
  explicit ModelCommand(CLI::App& root);
  ~ModelCommand();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
