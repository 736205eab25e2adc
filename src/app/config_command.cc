#include "app/config_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/config_flags.h"
#include "app/exit_code.h"
#include "app/serve_options.h"
#include "config/reference.h"

namespace inferq::app {
namespace {

void ShowSettings(const std::vector<config::Option>& options, const config::Settings& settings) {
  for (const config::Option& option : options) {
    fmt::print("{} = {}  # {}\n", option.key, settings.Show(option.key),
               settings.origin(option.key));
  }
}

int Show(const config::Sources& sources) {
  base::FileSystem& files = base::PosixFileSystem();
  auto config = config::Load(ServeSchema(), sources, files);
  if (!config) {
    fmt::print(stderr, "inferq config: {}\n", config.error().message());
    return kUsage;
  }
  ShowSettings(ServeSchema().options, config->settings);
  for (const config::Table& table : ServeSchema().tables) {
    for (const config::Settings& settings : config->tables.at(table.name)) {
      fmt::print("\n[[{}]]  # {}\n", table.name, settings.place());
      ShowSettings(table.options, settings);
    }
  }
  // What only shows when the values are seen together.
  if (auto options = LoadServeOptions(sources, files); !options) {
    fmt::print(stderr, "inferq config: {}\n", options.error().message());
    return kUsage;
  }
  return kOk;
}

}  // namespace

ConfigCommand::ConfigCommand(CLI::App& root) {
  command_ = root.add_subcommand("config", "Show and check the configuration of inferq serve");
  command_->require_subcommand(1);
  show_ = command_->add_subcommand("show", "Print every value and where it comes from");
  flags_ = std::make_unique<ConfigFlags>(*show_, ServeSchema());
  command_->add_subcommand("docs", "Print docs/config.md")->group("");
}

ConfigCommand::~ConfigCommand() = default;

bool ConfigCommand::chosen() const { return command_->parsed(); }

int ConfigCommand::Execute() {
  if (show_->parsed()) return Show(flags_->sources());
  fmt::print("{}", config::MakeReference(ServeSchema()));
  return kOk;
}

}  // namespace inferq::app
