#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq batch submit`: a file of prompts becomes a batch of the server.
class BatchSubmit {
 public:
  explicit BatchSubmit(CLI::App& batch);
  ~BatchSubmit();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
  CLI::App* command_;
};

}  // namespace inferq::app
