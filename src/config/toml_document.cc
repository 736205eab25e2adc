#include "config/toml_document.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <optional>

namespace inferq::config {
namespace {

using base::Code;
using base::Fail;
using base::Result;

std::optional<TomlValue> ReadArray(const toml::array& array) {
  Texts texts;
  for (const toml::node& item : array) {
    const auto* text = item.as_string();
    if (!text) return std::nullopt;
    texts.push_back(text->get());
  }
  return texts;
}

// Nothing for the types that no option has.
std::optional<TomlValue> ReadValue(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_array()) return ReadArray(*value);
  return std::nullopt;
}

// Flattens toml++'s tree into a document.
class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  Result<TomlDocument> Read(const toml::table& root) && {
    for (auto&& [key, node] : root) {
      const toml::array* array = node.as_array();
      if (array && array->is_array_of_tables()) {
        INFERQ_TRY(ReadTables(std::string(key.str()), *array));
      } else {
        INFERQ_TRY(ReadEntry(std::string(key.str()), node, document_.entries));
      }
    }
    return std::move(document_);
  }

 private:
  Result<> ReadTables(const std::string& name, const toml::array& array) {
    for (const toml::node& node : array) {
      TomlTable table{.entries = {}, .line = node.source().begin.line};
      for (auto&& [key, child] : *node.as_table()) {
        INFERQ_TRY(ReadEntry(std::string(key.str()), child, table.entries));
      }
      document_.tables[name].push_back(std::move(table));
    }
    return {};
  }

  Result<> ReadEntry(const std::string& key, const toml::node& node, std::vector<TomlEntry>& out) {
    if (const toml::table* table = node.as_table()) {
      for (auto&& [name, child] : *table) {
        INFERQ_TRY(ReadEntry(key + "." + std::string(name.str()), child, out));
      }
      return {};
    }
    uint32_t line = node.source().begin.line;
    auto value = ReadValue(node);
    if (!value) {
      return Fail(Code::kInvalidArgument,
                  "{}:{}: {} is of a type that no option has; options are texts in quotes, "
                  "numbers, true or false, or lists of texts",
                  name_, line, key);
    }
    out.push_back({key, *std::move(value), line});
    return {};
  }

  const std::string& name_;
  TomlDocument document_;
};

}  // namespace

Result<TomlDocument> ParseToml(std::string_view text, const std::string& name) {
  toml::parse_result parsed = toml::parse(text, std::string_view(name));
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Fail(Code::kInvalidArgument, "{}:{}: {}", name, error.source().begin.line,
                error.description());
  }
  return Reader(name).Read(parsed.table());
}

}  // namespace inferq::config
