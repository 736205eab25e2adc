#pragma once

#include <memory>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq batch pause|resume|edit|retry`. Construct before parsing, Execute after.
class BatchEdits {
 public:
  explicit BatchEdits(CLI::App& batch);
  ~BatchEdits();

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  struct Options;
  std::unique_ptr<Options> options_;
};

}  // namespace inferq::app
