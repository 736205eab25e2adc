#include "config/config.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "config/toml_document.h"

namespace inferq::config {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

// An integer stands for a number too; durations and sizes are texts; other types must agree.
Result<Value> FromToml(const Value& type, const TomlValue& toml) {
  if (const auto* text = std::get_if<std::string>(&toml)) {
    bool is_text = std::holds_alternative<std::string>(type) ||
                   std::holds_alternative<base::Micros>(type) ||
                   std::holds_alternative<Bytes>(type);
    if (is_text) return ParseValue(type, *text);
  } else if (const auto* integer = std::get_if<int64_t>(&toml);
             integer && std::holds_alternative<double>(type)) {
    return static_cast<double>(*integer);
  } else {
    Value value = std::visit([](const auto& v) { return Value(v); }, toml);
    if (value.index() == type.index()) return value;
  }
  return Fail(Code::kInvalidArgument, "must be of the type {}{}", TypeName(type),
              std::holds_alternative<base::Micros>(type) || std::holds_alternative<Bytes>(type)
                  ? " in quotes, with its unit"
                  : "");
}

// What has been said about one option; of a secret, where it is to be found.
struct Given {
  std::string key;
  Value value;
  Origin origin;
};

// Collects what the sources say about the options of a file or table, then makes Settings of it.
class Collector {
 public:
  Collector(const std::vector<Option>& options, std::string prefix,
            std::vector<std::string>& problems)
      : options_(options), prefix_(std::move(prefix)), problems_(problems) {}

  void AddToml(const TomlEntry& entry, const std::string& file) {
    Origin origin = fmt::format("{}:{}", file, entry.line);
    const Option* option = FindOption(entry.key);
    if (!option) return Complain(origin, entry.key, UnknownKey(entry.key));
    Add(*option, entry.key, FromToml(TypeOf(*option), entry.value), std::move(origin));
  }

  void AddText(const std::string& key, const std::string& text, Origin origin) {
    const Option* option = FindOption(key);
    INFERQ_CHECK(option != nullptr);  // flags and variables are made from the declarations
    Add(*option, key, ParseValue(TypeOf(*option), text), std::move(origin));
  }

  Settings Finish(const Sources& sources, base::FileSystem& files, const Origin& place) {
    Settings settings;
    settings.set_place(place);
    for (const Option& option : options_) {
      auto found = given_.find(option.key);
      if (found == given_.end()) {
        if (option.required) Complain(place, option.key, "is missing");
        settings.Set(option.key, {option.standard, Origin(kDefaultOrigin), option.secret});
      } else if (option.secret) {
        settings.Set(option.key, Reveal(found->second, sources, files));
      } else {
        settings.Set(option.key, {found->second.value, found->second.origin});
      }
    }
    return settings;
  }

 private:
  static Value TypeOf(const Option& option) {
    return option.secret ? Value(std::string()) : option.standard;
  }

  const Option* FindOption(const std::string& key) const {
    for (const Option& option : options_) {
      auto keys = KeysOf(option);
      if (std::ranges::count(keys, key) > 0) return &option;
    }
    return nullptr;
  }

  void Add(const Option& option, const std::string& key, Result<Value> value, Origin origin) {
    if (!value) return Complain(origin, key, value.error().message());
    if (!option.secret) {
      if (auto checked = CheckValue(option, *value); !checked) {
        return Complain(origin, key, checked.error().message());
      }
    }
    given_[option.key] = {key, *std::move(value), std::move(origin)};
  }

  // Reads the file or the variable that holds a secret.
  Settings::Setting Reveal(const Given& given, const Sources& sources, base::FileSystem& files) {
    const auto& name = std::get<std::string>(given.value);
    auto secret =
        given.key.ends_with("_file") ? FromFile(files, name) : FromVariable(sources, name);
    if (!secret) Complain(given.origin, given.key, secret.error().message());
    return {secret.value_or(""), fmt::format("{} ({})", name, given.origin), true};
  }

  // The first line, as editors put a line end behind it.
  static Result<std::string> FromFile(base::FileSystem& files, const std::string& path) {
    INFERQ_ASSIGN(std::string text, base::ReadFile(files, path));
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    if (text.empty()) {
      return Fail(Code::kInvalidArgument, "names the file {}, whose first line is empty", path);
    }
    return text;
  }

  static Result<std::string> FromVariable(const Sources& sources, const std::string& name) {
    auto text = sources.environment(name);
    if (text && !text->empty()) return *text;
    return Fail(Code::kInvalidArgument, "names the environment variable {}, which is not set",
                name);
  }

  std::string UnknownKey(const std::string& key) const {
    std::vector<std::string> known;
    for (const Option& option : options_) {
      if (option.secret && option.key == key) {
        return fmt::format(
            "is a secret: put it into a file and give {0}_file, or into an "
            "environment variable and give {0}_env",
            prefix_ + key);
      }
      std::ranges::copy(KeysOf(option), std::back_inserter(known));
    }
    std::string nearest = Nearest(key, known);
    return nearest.empty() ? "is no option; docs/config.md lists all"
                           : fmt::format("is no option; did you mean {}?", prefix_ + nearest);
  }

  void Complain(const Origin& origin, const std::string& key, std::string_view what) {
    problems_.push_back(fmt::format("{}: {}{} {}", origin, prefix_, key, what));
  }

  const std::vector<Option>& options_;
  const std::string prefix_;  // "model." in a repeated table
  std::vector<std::string>& problems_;
  std::map<std::string, Given> given_;  // by the option's key
};

Result<TomlDocument> ReadDocument(const std::string& path, base::FileSystem& files) {
  if (path.empty()) return TomlDocument{};
  auto text = base::ReadFile(files, path);
  if (!text) {
    return std::unexpected(std::move(text).error().WithContext("the configuration cannot be read"));
  }
  return ParseToml(*text, path);
}

Settings LoadSettings(const Schema& schema, const TomlDocument& document, const Sources& sources,
                      base::FileSystem& files, std::vector<std::string>& problems) {
  Collector collector(schema.options, "", problems);
  for (const TomlEntry& entry : document.entries) collector.AddToml(entry, sources.file);
  for (const Option& option : schema.options) {
    for (const std::string& key : KeysOf(option)) {
      std::string name = EnvironmentName(key);
      if (auto text = sources.environment(name)) collector.AddText(key, *text, name);
    }
  }
  for (const Flag& flag : sources.flags) {
    collector.AddText(flag.key, flag.text, FlagName(flag.key));
  }
  return collector.Finish(sources, files, sources.file);
}

std::vector<Settings> LoadTables(const Table& declared, const std::vector<TomlTable>& tables,
                                 const Sources& sources, base::FileSystem& files,
                                 std::vector<std::string>& problems) {
  std::vector<Settings> loaded;
  for (const TomlTable& table : tables) {
    Collector collector(declared.options, declared.name + ".", problems);
    for (const TomlEntry& entry : table.entries) collector.AddToml(entry, sources.file);
    loaded.push_back(
        collector.Finish(sources, files, fmt::format("{}:{}", sources.file, table.line)));
  }
  return loaded;
}

void RefuseUnknownTables(const Schema& schema, const TomlDocument& document,
                         const std::string& file, std::vector<std::string>& problems) {
  std::vector<std::string> known;
  for (const Table& table : schema.tables) known.push_back(table.name);
  for (const auto& [name, tables] : document.tables) {
    if (std::ranges::count(known, name) > 0) continue;
    problems.push_back(fmt::format("{}:{}: [[{}]] is no table of inferq; there is [[{}]]", file,
                                   tables.front().line, name, fmt::join(known, "]], [[")));
  }
}

}  // namespace

const Settings::Setting& Settings::Find(std::string_view key) const {
  auto found = settings_.find(key);
  INFERQ_CHECK(found != settings_.end());
  return found->second;
}

std::string Settings::Show(std::string_view key) const {
  const Setting& setting = Find(key);
  return setting.secret && given(key) ? "(secret)" : FormatValue(setting.value);
}

Result<Config> Load(const Schema& schema, const Sources& sources, base::FileSystem& files) {
  INFERQ_ASSIGN(TomlDocument document, ReadDocument(sources.file, files));
  std::vector<std::string> problems;
  RefuseUnknownTables(schema, document, sources.file, problems);
  Config config;
  config.settings = LoadSettings(schema, document, sources, files, problems);
  for (const Table& table : schema.tables) {
    config.tables[table.name] =
        LoadTables(table, document.tables[table.name], sources, files, problems);
  }
  if (problems.empty()) return config;
  return std::unexpected(
      Error(Code::kInvalidArgument, fmt::format("{}", fmt::join(problems, "\n"))));
}

}  // namespace inferq::config
