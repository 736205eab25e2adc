#pragma once

#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq key create` and `inferq key hash`. Construct before parsing, Execute after.
class KeyCommand {
 public:
  explicit KeyCommand(CLI::App& root);
  KeyCommand(const KeyCommand&) = delete;
  KeyCommand& operator=(const KeyCommand&) = delete;

  bool chosen() const;
  /// @return an ExitCode.
  int Execute();

 private:
  std::string tenant_ = "default";
  CLI::App* command_;
  CLI::App* create_;
};

/// What is to be put into the configuration for a tenant with this key.
std::string TenantToml(const std::string& tenant, const std::string& key);

}  // namespace inferq::app
