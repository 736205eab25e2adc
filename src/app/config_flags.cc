#include "app/config_flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace inferq::app {
namespace {

constexpr const char* kUsualFile = "inferq.toml";

std::optional<std::string> Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

ConfigFlags::ConfigFlags(CLI::App& command, const config::Schema& schema) {
  command.add_option("--config", file_,
                     "TOML file (default: $INFERQ_CONFIG, else ./inferq.toml if there is one)");
  for (const config::Option& declared : schema.options) {
    for (const std::string& key : config::KeysOf(declared)) {
      std::string names = config::FlagName(key);
      if (!declared.alias.empty()) names += "," + declared.alias;
      Entry& entry = entries_.emplace_back(key, nullptr, "");
      entry.option = command.add_option(names, entry.text, config::HelpOf(declared))
                         ->default_str(config::FormatValue(declared.standard));
    }
  }
}

config::Sources ConfigFlags::sources() const {
  config::Sources sources{.file = file_, .environment = Environment, .flags = {}};
  if (sources.file.empty()) sources.file = Environment("INFERQ_CONFIG").value_or("");
  std::error_code not_there;
  if (sources.file.empty() && std::filesystem::exists(kUsualFile, not_there)) {
    sources.file = kUsualFile;
  }
  for (const Entry& entry : entries_) {
    if (entry.option->count() > 0) sources.flags.push_back({entry.key, entry.text});
  }
  return sources;
}

}  // namespace inferq::app
