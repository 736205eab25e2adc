#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq store check`, `stats`, `backup` and `export`: looks into a store, also while a server or
/// a run works with it, and changes nothing in it. Construct before parsing, Execute after.
class StoreCommand {
 public:
  explicit StoreCommand(CLI::App& root);
  StoreCommand(const StoreCommand&) = delete;
  StoreCommand& operator=(const StoreCommand&) = delete;

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  int Check();
  int Stats();
  int BackUp();
  int Export();

  std::string directory_;
  std::string destination_;
  bool json_ = false;
  CLI::App* command_;
  CLI::App* check_;
  CLI::App* stats_;
  CLI::App* backup_;
};

}  // namespace inferq::app
