#include "config/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

namespace inferq::config {
namespace {

// clang-format off: lines of a Markdown page
constexpr std::string_view kIntroduction =
    R"(<!-- Written by `inferq config docs > docs/config.md`: change the declarations, not this page. -->
# Configuration

`inferq serve` reads one TOML file: `--config FILE`, else `$INFERQ_CONFIG`, else `./inferq.toml` if there is one.
Without any it serves on 127.0.0.1:8080 what is in `./models`. Each option can also be given as an environment
variable and as a flag. Flags win over the environment, that over the file, and that over the defaults.
An unknown key in the file is an error.

Durations are written `10ms`, `1.5s`, `5m`, `24h`; sizes `64MiB`, `1GiB`, `500MB`. In the environment and in flags the
items of a list are separated by commas. Secrets are never values of their own: `…_file` names a file and `…_env` an
environment variable that holds one. A change takes effect at the next start.

[examples/inferq.toml](../examples/inferq.toml) is a file to begin with.
)";
// clang-format on

std::string Quoted(const Option& option) {
  if (option.required) return "required";
  std::string text = FormatValue(option.standard);
  return text.empty() ? "none" : "`" + text + "`";
}

std::string Describe(const Option& option) {
  std::string text = HelpOf(option);
  if (option.apply == Apply::kLive) text += " Takes effect at once.";
  return text;
}

std::string Names(const Option& option) {
  std::string text;
  for (const std::string& key : KeysOf(option)) {
    fmt::format_to(std::back_inserter(text), "<br>`{}`<br>`{}`", FlagName(key),
                   EnvironmentName(key));
  }
  if (!option.alias.empty()) text += fmt::format("<br>`{}`", option.alias);
  return text;
}

void AppendRows(const std::vector<Option>& options, bool with_names, std::string& page) {
  page += "\n| option | type | default | |\n| --- | --- | --- | --- |\n";
  for (const Option& option : options) {
    auto keys = KeysOf(option);
    fmt::format_to(std::back_inserter(page), "| `{}`{} | {} | {} | {} |\n", fmt::join(keys, "`, `"),
                   with_names ? Names(option) : "", TypeName(option.standard), Quoted(option),
                   Describe(option));
  }
}

std::string SectionOf(const Option& option) { return option.key.substr(0, option.key.find('.')); }

}  // namespace

std::string MakeReference(const Schema& schema) {
  std::string page(kIntroduction);
  for (auto begin = schema.options.begin(); begin != schema.options.end();) {
    auto end = std::find_if(begin, schema.options.end(),
                            [&](const Option& o) { return SectionOf(o) != SectionOf(*begin); });
    page += fmt::format("\n## {}\n", SectionOf(*begin));
    AppendRows({begin, end}, true, page);
    begin = end;
  }
  for (const Table& table : schema.tables) {
    page += fmt::format("\n## [[{}]]\n\n{} In the file only.\n", table.name, table.sentence);
    AppendRows(table.options, false, page);
  }
  return page;
}

}  // namespace inferq::config
