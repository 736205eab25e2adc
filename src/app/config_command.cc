#include "app/config_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/config_flags.h"
#include "app/exit_code.h"
#include "app/serve_options.h"
#include "config/reference.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

constexpr const char* kShowFooter = R"(
Example:
  inferq config show --config /etc/inferq.toml | grep listen
Exit codes: 0 it is valid; 2 it is not, and why stands on standard error.)";

constexpr const char* kCheckFooter = R"(
Reads what `inferq serve --config FILE` would, starts nothing, and names every mistake with its
line. Variables of the environment count, as they do for the server.
Examples:
  inferq config check /etc/inferq.toml && systemctl restart inferq
  inferq config check --json | jq -r '.problems[]'
Exit codes: 0 it is valid; 2 it is not, or cannot be read.)";

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

std::string ProblemsJson(const std::string& problems) {
  std::string list;
  std::string_view rest = problems;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    list += (list.empty() ? "" : ",") + wire::JsonString(line);
  }
  return list;
}

// With all that `inferq serve` would read beside it: the environment, and files that are named.
int Check(config::Sources sources, bool json) {
  auto options = LoadServeOptions(sources, base::PosixFileSystem());
  std::string problems = options ? "" : options.error().message();
  if (json) {
    fmt::print("{{\"file\":{},\"valid\":{},\"problems\":[{}]}}\n",
               sources.file.empty() ? "null" : wire::JsonString(sources.file), options.has_value(),
               ProblemsJson(problems));
  } else if (options) {
    fmt::print("{} is valid\n",
               sources.file.empty() ? "the configuration without a file" : sources.file);
  } else {
    fmt::print(stderr, "{}\n", problems);
  }
  return options ? kOk : kUsage;
}

}  // namespace

ConfigCommand::ConfigCommand(CLI::App& root) {
  command_ = root.add_subcommand("config", "Show and check the configuration of inferq serve");
  command_->require_subcommand(1);
  show_ = command_->add_subcommand("show", "Print every value and where it comes from");
  show_->footer(kShowFooter);
  flags_ = std::make_unique<ConfigFlags>(*show_, ServeSchema());
  check_ = command_->add_subcommand("check", "Check a configuration file, and name what is wrong");
  check_->footer(kCheckFooter);
  check_->add_option("FILE", file_,
                     "TOML file (default: $INFERQ_CONFIG, else ./inferq.toml if there is one)");
  check_->add_flag("--json", json_, "Say it as one JSON object");
  command_->add_subcommand("docs", "Print docs/config.md")->group("");
}

ConfigCommand::~ConfigCommand() = default;

bool ConfigCommand::chosen() const { return command_->parsed(); }

int ConfigCommand::Execute() {
  if (show_->parsed()) return Show(flags_->sources());
  if (check_->parsed()) {
    config::Sources sources = flags_->sources();  // no flag was given
    if (!file_.empty()) sources.file = file_;
    return Check(std::move(sources), json_);
  }
  fmt::print("{}", config::MakeReference(ServeSchema()));
  return kOk;
}

}  // namespace inferq::app
