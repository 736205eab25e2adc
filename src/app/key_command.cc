#include "app/key_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "app/exit_code.h"
#include "config/api_key.h"

namespace inferq::app {
namespace {

int Create(const std::string& tenant) {
  std::string key = config::NewApiKey();
  fmt::print("# The key, shown this once; give it to the client:\n#   {}\n\n", key);
  fmt::print("# For the configuration of the server:\n{}", TenantToml(tenant, key));
  return kOk;
}

int Hash() {
  std::string key;
  std::getline(std::cin, key);
  if (key.ends_with('\r')) key.pop_back();
  if (auto good = config::CheckApiKey(key); !good) {
    fmt::print(stderr, "inferq key hash: {}\n", good.error().message());
    return kUsage;
  }
  fmt::print("{}\n", config::HashApiKey(key));
  return kOk;
}

}  // namespace

std::string TenantToml(const std::string& tenant, const std::string& key) {
  return fmt::format("[[tenant]]\nname = \"{}\"\nkeys = [\"{}\"]\n", tenant,
                     config::HashApiKey(key));
}

KeyCommand::KeyCommand(CLI::App& root) {
  command_ = root.add_subcommand("key", "Make API keys for the clients of a server");
  command_->require_subcommand(1);
  create_ = command_->add_subcommand(
      "create", "Print a new key, and the lines of the configuration that let it in");
  create_->add_option("--tenant", tenant_, "Whose key it is: 1 to 64 of a-z, 0-9, _ and -")
      ->check([](const std::string& name) {
        constexpr const char* kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
        bool good = !name.empty() && name.size() <= 64 &&
                    name.find_first_not_of(kAllowed) == std::string::npos;
        return good ? "" : "the name of a tenant has 1 to 64 of a-z, 0-9, _ and -";
      })
      ->capture_default_str();
  command_->add_subcommand("hash", "Read a key from standard input and print its hash");
}

bool KeyCommand::chosen() const { return command_->parsed(); }

int KeyCommand::Execute() { return create_->parsed() ? Create(tenant_) : Hash(); }

}  // namespace inferq::app
